"""What is built of the source, by uv."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# What uv says where there is no way to an index.
NO_INDEX = re.compile("fetch|dns|connect|offline|network", re.IGNORECASE)


def uv(*arguments: str | Path) -> None:
    """Run uv, which needs a package index; without one the test is skipped."""
    command = os.environ.get("UV") or shutil.which("uv") or "uv"
    try:
        subprocess.run([command, *arguments], cwd=ROOT, check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        if NO_INDEX.search(error.stderr) and not os.environ.get("CI"):
            pytest.skip(f"no package index: {error.stderr.strip().splitlines()[-1]}")
        pytest.fail(error.stderr)
    except FileNotFoundError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no uv: {error}")
