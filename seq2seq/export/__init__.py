"""Trained runs in the formats of other programs, compared with our own output before anything is handed over."""
