"""The examples for Node.js, installed from their lock file into a folder of the tests' own."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from cli.embedded import ServerUnavailable, dies_with_parent

EXAMPLES = Path(__file__).parents[1] / "examples" / "node"
INSTALL_SECONDS = 300
RUN_SECONDS = 120


class Node:
    """The examples, ready to be run."""

    def __init__(self, folder: Path) -> None:
        """Install what they depend on.

        Raises:
            ServerUnavailable: There is no Node.js here, or no registry.
        """
        if not (shutil.which("node") and shutil.which("npm")):
            raise ServerUnavailable("no Node.js: install Debian's nodejs and npm")
        self.folder = folder
        shutil.copytree(EXAMPLES, folder, ignore=shutil.ignore_patterns("node_modules"))
        try:
            subprocess.run(
                ["npm", "ci", "--engine-strict", "--no-audit", "--no-fund"],
                cwd=folder,
                check=True,
                capture_output=True,
                text=True,
                timeout=INSTALL_SECONDS,
            )
        except subprocess.CalledProcessError as error:
            raise ServerUnavailable(f"npm ci failed: {error.stderr.strip()}") from error
        except subprocess.TimeoutExpired as error:
            raise ServerUnavailable("npm ci does not end") from error

    def run(
        self, script: str, *arguments: str, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run an example to its end."""
        return subprocess.run(
            ["node", script, *arguments],
            cwd=self.folder,
            env={**os.environ, **environment},
            check=False,
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
        )

    def start(self, script: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start an example that runs until it is asked to end."""
        return subprocess.Popen(
            [*dies_with_parent("KILL"), "node", script, *arguments],
            cwd=self.folder,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
