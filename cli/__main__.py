"""`python -m cli` is `settle`, where the script is not on the path."""

from cli.main import main

main(prog_name="settle")
