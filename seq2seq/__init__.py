"""Three translation architectures through one pipeline, so that the difference can be measured."""
