"""Every option: its schema, the YAML files that hold presets, the checks. Imports neither torch nor datasets."""
