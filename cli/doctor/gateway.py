"""The gateway's API keys: whether the file that stands there now is one that it takes.

A gateway that runs goes on with the keys it had when the file has a mistake in it,
so that a key that was taken out may still be good. Whether it may listen where it
is set to is its own affair: it does not start otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.access.keys import Keys
from service.finding import Finding, failure, ok
from service.settings import SettingsError

if TYPE_CHECKING:
    from pathlib import Path


def keys(file: Path) -> Finding:
    """Check that the gateway understands the file."""
    try:
        Keys(file)
    except SettingsError as error:
        return failure(
            str(error).partition(": ")[2],
            "mend it: a gateway does not start with it, and one that runs may keep the keys it had",
        )
    return ok("the file is understood")


CHECKS = (keys,)
