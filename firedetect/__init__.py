"""Edge-first fire detector."""

__version__ = "0.1.0"
