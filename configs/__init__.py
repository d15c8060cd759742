"""The YAML files that make up a run; a package so that an installed wheel finds them too."""
