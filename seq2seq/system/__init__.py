"""The machine below: files that are written whole, devices, signals. Knows nothing of translation."""
