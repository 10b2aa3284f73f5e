"""The local page: what the detector sees and concludes, served to this machine only."""
