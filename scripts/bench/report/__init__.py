"""Measured records to Markdown, to a plot and to a table for the terminal."""
