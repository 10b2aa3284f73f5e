"""Calibrations at the device: the sensors are listened to, a person decides, a file is kept."""
