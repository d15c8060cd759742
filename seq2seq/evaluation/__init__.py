"""A model and a text to figures."""
