"""What people near the detector hear and see."""
