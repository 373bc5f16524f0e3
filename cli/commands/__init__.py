"""The subcommands of `settle`, one a module."""
