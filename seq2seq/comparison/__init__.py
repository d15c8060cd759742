"""Runs side by side: which model is better, from what length on, by how much, with what certainty, and why."""
