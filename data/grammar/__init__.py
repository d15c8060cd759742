"""The lexicon and the rules of each version of the embedded corpus, as YAML; read by seq2seq.grammar, holds no code."""
