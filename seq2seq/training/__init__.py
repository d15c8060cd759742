"""Training: the loop, and what it needs. Knows models and batches through their interfaces alone."""
