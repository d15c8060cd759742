"""From text in files, on the hub or from the grammar to batches of ids. Knows no model."""
