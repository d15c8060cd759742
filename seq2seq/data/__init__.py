"""From text in files, on the hub or out of the grammar to batches of ids. Knows no model."""
