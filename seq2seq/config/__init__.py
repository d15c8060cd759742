"""The options: their schema, the composition of YAML files, the checks. Imports neither torch nor datasets."""
