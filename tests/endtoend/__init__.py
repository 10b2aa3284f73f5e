"""Everything together: real processes, real broker, real time."""
