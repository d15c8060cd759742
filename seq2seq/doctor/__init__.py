"""What is wrong with a corpus before a model is trained on it, and what this machine offers. Knows no model."""
