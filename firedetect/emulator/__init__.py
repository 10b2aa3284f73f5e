"""Chip models behind a fake I2C bus, with faults to inject."""
