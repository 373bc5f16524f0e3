"""A file of entries that is read again: how often it is understood."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from service.toml_file import TomlFile

if TYPE_CHECKING:
    from pathlib import Path


class Entries(BaseModel):
    """What the file of these tests says."""

    entry: list[int]


def understand(found: dict[str, Any]) -> list[int]:
    """Give the entries of a document."""
    return Entries.model_validate(found).entry


@pytest.mark.parametrize(
    "broken", ["entry = ['x']", "entry = [", ""], ids=["a mistake", "no TOML", "empty"]
)
def test_what_is_wrong_is_understood_once(tmp_path: Path, broken: str) -> None:
    """However often it is asked for: each outcome and each request asks, and it may be long."""
    path = tmp_path / "entries.toml"
    path.write_text("entry = [1]")
    file = TomlFile(path, understand, setting="FILE", what="entries", command="new")
    path.write_text(broken)
    reads = count_reads(file)
    for _ in range(50):
        assert file.entries() == [1]
    assert len(reads) == 1
    path.write_text("entry = [2, 3]")
    assert file.entries() == [2, 3]


def count_reads(file: TomlFile[int]) -> list[None]:
    """Return a list that has one element for each time that the file is read."""
    reads: list[None] = []
    read = file._read

    def counted() -> Any:
        reads.append(None)
        return read()

    file._read = counted  # type: ignore[method-assign]
    return reads
