"""Fused kernels against plain PyTorch: the time of each operation, and the training curves of both."""
