"""Finished runs to one page that opens offline."""
