"""Training: the loop, and what it needs. Knows only models and batches through their interfaces."""
