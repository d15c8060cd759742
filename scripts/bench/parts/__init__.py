"""What is measured, one file a part: each yields records of plain data."""
