"""Fast kernels behind the plain operations of the models. Knows tensors alone."""
