"""Trained models behind HTTP: a page to try them, and an API. Knows runs and translators; trains and scores nothing."""
