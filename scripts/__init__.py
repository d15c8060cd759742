"""Programs beside the package: the benchmark, the drawing of runs, the comparison of commits."""
