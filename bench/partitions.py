"""The SQL of docs/scaling.md, word for word: what is measured and tested is what is documented."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psycopg

PAGE = Path(__file__).parents[1] / "docs" / "scaling.md"
MOVE = ("create", "copy", "switch")


def documented(step: str) -> str:
    """Return the SQL of a step, which its first line names: `-- create`."""
    blocks = re.findall(r"```sql\n-- (\w+)\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    (found,) = (text for name, text in blocks if name == step)
    return str(found)


def take(step: str, connection: psycopg.Connection) -> None:
    """Take a step on a connection that commits by itself."""
    connection.execute(documented(step).encode())


def move_into_partitions(connection: psycopg.Connection) -> None:
    """Make the events table a partitioned one, with what it holds."""
    for step in MOVE:
        take(step, connection)
    connection.execute("DROP TABLE events_plain")
