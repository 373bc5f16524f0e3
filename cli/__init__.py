"""The command `settle`, and what only a person at a terminal needs."""
