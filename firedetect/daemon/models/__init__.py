"""The model of a detector: chosen at the start, installed, watched, rolled back."""
