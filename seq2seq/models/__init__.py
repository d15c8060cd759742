"""The architectures, behind one interface. Knows torch and ``config``; no file, no tokenizer, no metric."""
