"""What the device and the cloud say to each other. Imports nothing else of firedetect."""
