"""The queue door's document, as AsyncAPI's own parser reads it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.documents import CONTRACTS

pytestmark = pytest.mark.node
TOOL = Path(__file__).parents[1] / "tools" / "asyncapi"


@pytest.fixture(scope="module")
def tool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the parser, as its lock file says, into a folder of its own."""
    folder = tmp_path_factory.mktemp("npm") / "asyncapi"
    shutil.copytree(TOOL, folder)
    try:
        install = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run(install, cwd=folder, check=True, capture_output=True, timeout=300)
    except FileNotFoundError:
        missing("npm is not installed")
    except subprocess.TimeoutExpired as error:
        missing(str(error))
    except subprocess.CalledProcessError as error:
        missing(f"npm ci: {error.stderr.decode()[:200].strip()}")
    return folder


def missing(reason: str) -> None:
    """Skip here, and fail where everything has to be."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def diagnostics(tool: Path, document: Path) -> list[dict[str, Any]]:
    """Return what the parser has to say."""
    command = ["node", "validate.mjs", str(document)]
    ended = subprocess.run(command, cwd=tool, check=True, capture_output=True, timeout=120)
    found: list[dict[str, Any]] = json.loads(ended.stdout)
    return found


def test_the_parser_has_nothing_to_say(tool: Path) -> None:
    """No error, and no hint but the one that there is a newer AsyncAPI."""
    found = diagnostics(tool, CONTRACTS / "asyncapi.json")
    assert [one for one in found if one["code"] != "asyncapi-latest-version"] == []


def test_the_parser_reads_it(tool: Path, tmp_path: Path) -> None:
    """It does find what is wrong with another."""
    document = json.loads((CONTRACTS / "asyncapi.json").read_text(encoding="utf-8"))
    document["operations"]["setAside"]["action"] = "drop"
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps(document), encoding="utf-8")
    assert any(one["severity"] == 0 for one in diagnostics(tool, broken))
