"""Text for a terminal of 80 columns: tables, progress, attention. Knows figures and texts, nothing of the package."""
