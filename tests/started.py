"""What a test needs, or the test skipped where that cannot be had; CI fails instead."""

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
def or_skipped(*missing: type[Exception]) -> Iterator[None]:
    """Skip the test where one of these says what is missing; CI fails."""
    try:
        yield
    except missing as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@contextmanager
def started(make: Callable[[Path], AbstractContextManager[Server]]) -> Iterator[Server]:
    """Run a server in a folder, or skip the test where it is not installed; CI fails."""
    with (
        or_skipped(ServerUnavailable),
        temporary_folder() as folder,
        make(folder / "server") as server,
    ):
        yield server
