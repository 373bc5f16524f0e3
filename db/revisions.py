"""Which migrations there are, for whoever only compares: nothing of Alembic is imported.

A migration is a file that is named after its number, and each follows the one before.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

MIGRATIONS = Path(__file__).parent / "migrations"


@cache
def newest_revision() -> str:
    """Return the revision that this version of the code expects."""
    return max(path.name.partition("_")[0] for path in MIGRATIONS.glob("versions/[0-9]*.py"))
