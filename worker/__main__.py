"""`python -m worker` is `settle`, where the script is not on the path."""

from worker.cli import main

main(prog_name="settle")
