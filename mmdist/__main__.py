"""`python -m mmdist`: the command line."""

from mmdist.cli.main import main

main()
