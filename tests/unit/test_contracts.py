"""The documents in contracts/: current, valid by their standards, and true."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.contracts.documents import documents

CONTRACTS = Path(__file__).parents[2] / "contracts"
DOCUMENTS = documents()


@pytest.mark.parametrize("path", DOCUMENTS)
def test_a_document_is_current(path: str) -> None:
    """What is committed is what the models say today."""
    committed = (CONTRACTS / path).read_text(encoding="utf-8")
    assert committed == DOCUMENTS[path], "stale: run `uv run settle contracts contracts`"


def test_nothing_else_lies_among_the_documents() -> None:
    """A document that is written no more is removed."""
    files = (path for path in CONTRACTS.rglob("*") if path.is_file())
    assert {path.relative_to(CONTRACTS).as_posix() for path in files} == set(DOCUMENTS)
