"""What people read in a terminal of 80 columns."""
