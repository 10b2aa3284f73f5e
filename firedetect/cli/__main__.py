"""The command line as `python -m firedetect.cli`."""

from firedetect.cli.root import main

main()
