"""Calibration procedures, fed by readings."""
