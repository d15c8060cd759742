"""From finished runs to what can be said about them: a page's sections, each computed from what the runs left."""
