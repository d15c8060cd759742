"""Training: the loop, and what it needs. Knows models and batches only through their interfaces."""
