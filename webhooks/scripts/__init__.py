"""What Redis does in one step, for outcomes on their way to endpoints.

A step of a process that has lost its lease meanwhile does nothing: each says which
lease it relies on.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


def _read(name: str) -> str:
    return Path(__file__).with_name(f"{name}.lua").read_text("utf-8")


ROUTE, CLAIM, TAKE, FINISH = map(_read, ("route", "claim", "take", "finish"))
REPLAY, ENABLE = map(_read, ("replay", "enable"))


async def run(client: Any, script: str, keys: Sequence[str], args: Sequence[Any]) -> Any:
    """Run one, by a client that is awaited."""
    return await client.register_script(script)(keys=keys, args=args)
