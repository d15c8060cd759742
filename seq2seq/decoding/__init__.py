"""From a model and source ids to target ids, and from text to text."""
