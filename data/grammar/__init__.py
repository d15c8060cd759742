"""The lexicon and the rules of the embedded corpus, as YAML; read by seq2seq.data.grammar, holds no code."""
