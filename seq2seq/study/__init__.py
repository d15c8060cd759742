"""Which runs a comparison needs, in what order they are trained, and whether they are alike."""
