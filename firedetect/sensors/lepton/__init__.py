"""The FLIR Lepton 3.5 behind a PureThermal board: frame, sequence."""
