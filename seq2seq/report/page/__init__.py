"""The page: sections, figures and tables to one file that opens offline. Knows no run and no model."""
