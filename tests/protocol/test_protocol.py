"""The protocol, in every order of its steps: see `settle.pml` and docs/guarantees.md."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

MODEL = Path(__file__).with_name("settle.pml")
PAGE = Path(__file__).parents[2] / "docs" / "guarantees.md"
# | what is left out | `NAME` | the promise that breaks |
ROW = re.compile(r"^\| .* \| `([A-Z_ ]+)` \| (\d) \|$", re.MULTILINE)
BROKEN = re.compile(r"assertion violated \(+(\d)>0")
STATES = re.compile(r"(\d+) states, stored")
ROWS = ROW.findall(PAGE.read_text())

pytestmark = pytest.mark.spin


@pytest.fixture(autouse=True)
def _spin() -> None:
    missing = [name for name in ("spin", "gcc") if shutil.which(name) is None]
    if missing and os.environ.get("CI"):
        raise FileNotFoundError(missing)
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


def check(folder: Path, *names: str) -> str:
    """Try every order, with names defined for the preprocessor, and return what Spin says."""
    defined = [f"-D{name}" for name in names]
    commands = (
        ["spin", "-a", *defined, str(MODEL)],
        ["gcc", "-O2", "-w", "-DSAFETY", "-DCOLLAPSE", "-o", "pan", "pan.c"],
        ["./pan", "-m10000", "-w24"],
    )
    for command in commands:
        ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.mark.parametrize(
    "names", [[], ["POISON", "CRASHES=0"]], ids=["a-good-one", "one-that-kills"]
)
def test_every_promise_holds_in_every_order(tmp_path: Path, names: list[str]) -> None:
    """Whatever is killed, frozen, sent twice, or has no answer: and no order is left out."""
    said = check(tmp_path, *names)
    assert "errors: 0" in said, said
    assert "max search depth too small" not in said
    assert int(STATES.search(said)[1]) > 10_000, said  # type: ignore[index]


@pytest.mark.parametrize(("names", "promise"), ROWS, ids=[names for names, _ in ROWS])
def test_each_guard_is_needed(tmp_path: Path, names: str, promise: str) -> None:
    """Without it there is an order in which a promise breaks, the one that the page names."""
    said = check(tmp_path, *names.split())
    broken = BROKEN.search(said)
    assert broken, said
    assert broken[1] == promise


def test_the_page_names_every_guard_of_the_model() -> None:
    """And none that there is not."""
    known = set(re.findall(r"^#ifn?def (\w+)$", MODEL.read_text(), re.MULTILINE))
    assert {name for names, _ in ROWS for name in names.split()} == known - {"CRASHES"}
