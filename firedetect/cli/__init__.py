"""The command line: reads arguments, calls the part that does the work, prints the answer."""

from firedetect.cli.root import app, main

__all__ = ["app", "main"]
