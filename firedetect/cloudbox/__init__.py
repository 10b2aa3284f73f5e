"""The cloud in a box: what AWS does for the detector, on one computer and without an account."""
