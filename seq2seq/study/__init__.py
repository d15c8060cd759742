"""Studies: which runs are needed, in which order they are trained and measured, and whether they may be compared."""
