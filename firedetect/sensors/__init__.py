"""Drivers of the sensors, the bus they share, and the decoding of raw readings."""
