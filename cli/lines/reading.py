"""Updates out of a file or a pipe: a JSON array, or one JSON value a line."""

from __future__ import annotations

import json
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import click

from tasks.messages import InvalidUpdate

if TYPE_CHECKING:
    from collections.abc import Iterator

# A byte order mark is no part of the text; what is no UTF-8 is no reason to stop.
ENCODING, ERRORS = "utf-8-sig", "surrogateescape"
UTF_16 = ("\udcff\udcfe", "\udcfe\udcff")


class Place(NamedTuple):
    """Where an update stands, such as `line 3`."""

    noun: str
    number: int

    def __str__(self) -> str:
        return f"{self.noun} {self.number:,}" if self.number else self.noun


# Of what is no list.
ONLY = Place("update", 0)


def read_updates(source: IO[str], start_at: int = 1) -> Iterator[tuple[Place, Any]]:
    """Read updates, with their places.

    Args:
        source: A text.
        start_at: With which line, or element of an array, to begin.

    Yields:
        What stands there; `InvalidUpdate` where that is no JSON.

    Raises:
        click.UsageError: It is in another encoding.
    """
    for number, line in enumerate(source, start=1):
        if number == 1 and line.startswith(UTF_16):
            raise click.UsageError("the file is in UTF-16: write it in UTF-8")
        if number == 1 and line.lstrip().startswith("["):
            yield from _read_array(line + source.read(), start_at)
            return
        if number >= start_at and line.strip():
            yield Place("line", number), _decode_line(line)


def _read_array(text: str, start_at: int) -> Iterator[tuple[Place, Any]]:
    values = _decode(text)
    if isinstance(values, InvalidUpdate):
        yield Place("the array", 0), values
        return
    for number, value in enumerate(values[start_at - 1 :], start=start_at):
        yield Place("element", number), value


def _decode_line(line: str) -> Any:
    try:
        line.encode()
    except UnicodeEncodeError:
        return InvalidUpdate("is not UTF-8", line)
    return _decode(line.rstrip())


def _decode(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        return InvalidUpdate("is not JSON: it is nested too deeply", text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, " if "\n" in text else ""
        return InvalidUpdate(f"is not JSON: {error.msg} at {where}column {error.colno}", text)
    except ValueError as error:
        return InvalidUpdate(f"is not JSON: {error}", text)
