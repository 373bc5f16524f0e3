"""A server of the tests' own, or a test that is skipped where it cannot be."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import pytest

from cli.embedded import ServerUnavailable, temporary_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

Server = TypeVar("Server")


@contextmanager
def started(make: Callable[[Path], AbstractContextManager[Server]]) -> Iterator[Server]:
    """Run a server in a folder, or skip the test where it is not installed; CI fails."""
    try:
        with temporary_folder() as folder, make(folder / "server") as server:
            yield server
    except ServerUnavailable as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
