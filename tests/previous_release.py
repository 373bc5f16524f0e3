"""The release before this one, out of the repository's own history, with its libraries."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parents[1]
VERSION, COMMIT = "0.1.0", "a2e04be2bc4ea00cc8c27fb0babdfff100aa0893"


class NotInHistoryError(Exception):
    """The clone is shallow."""


class PreviousRelease:
    """Its files, to run from.

    Attributes:
        started: How a process of it is started: the folder, and what the environment
            has besides, so that it is imported and not this one.
    """

    def __init__(self, folder: Path) -> None:
        # The interpreter is this one's, whose own libraries come last.
        python = f"python{sys.version_info.major}.{sys.version_info.minor}"
        libraries = folder / ".venv" / "lib" / python / "site-packages"
        path = os.pathsep.join(map(str, (folder, folder / "client", libraries)))
        self.started = {"folder": str(folder), "PYTHONPATH": path}

    @classmethod
    def unpack(cls, folder: Path) -> Self:
        """Put its files into an empty folder, and install what its lock file says.

        Raises:
            NotInHistoryError: They are not in this clone.
        """
        archive = subprocess.run(
            ["git", "-C", ROOT, "archive", "--format", "tar", COMMIT],
            capture_output=True,
            check=False,
        )
        if archive.returncode:
            raise NotInHistoryError(f"{VERSION} is not in this clone: {archive.stderr.decode()}")
        subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
        install = ["uv", "sync", "--quiet", "--frozen", "--all-extras", "--no-install-workspace"]
        environment = {name: it for name, it in os.environ.items() if name != "VIRTUAL_ENV"}
        subprocess.run(
            [*install, "--python", sys.executable, "--project", folder], env=environment, check=True
        )
        return cls(folder)

    def run(self, *arguments: str, **settings: str) -> str:
        """Run Python on its files to the end, and return what is written."""
        environment = {**os.environ, **self.started, **settings}
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=environment.pop("folder"),
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
