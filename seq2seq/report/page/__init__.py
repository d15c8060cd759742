"""The page: a document of sections, figures and tables, written as one HTML file that works offline. Knows no run."""
