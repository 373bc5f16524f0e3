"""What asks the database, once more at once where its connection was lost.

As it is after a restart of the server or a failover, which every connection finds out
once. Anything else that may pass is for the client to wait for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from db import TransientDatabaseError

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")


def insist(ask: Callable[[], Result]) -> Result:
    """Ask, and ask again if the connection was lost.

    Raises:
        DatabaseError: See `db.errors`.
    """
    try:
        return ask()
    except TransientDatabaseError as error:
        if not error.connection_was_lost:
            raise
    return ask()
