"""Data sets, training and evaluation; nothing here runs in the detector."""
