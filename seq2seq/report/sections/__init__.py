"""The sections of a report, each computed from the files of finished runs: texts, figures and tables."""
