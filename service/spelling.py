"""Variables that look like settings and are none: whoever set one believes that it is in force.

Only told, never refused: a newer release may know it, and another program may read it.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from service.settings import Settings, variable

if TYPE_CHECKING:
    from collections.abc import Iterable

PREFIX = "SETTLE_"
# The compose file reads the first, and the examples of clients the others.
READ_BY_OTHERS = frozenset({"SETTLE_FLOWER_PORT", "SETTLE_URL", "SETTLE_API_KEY"})


def misspelt(environment: Iterable[str]) -> dict[str, str]:
    """Return each variable that is no setting of ours, and which one may be meant.

    Args:
        environment: The names of all variables.
    """
    settings = [variable(name) for name in Settings.model_fields]
    known = {*settings, *READ_BY_OTHERS}
    # As they are read, in whichever case they are written.
    strange = [name for name in environment if name.upper().startswith(PREFIX)]
    return {name: _hint(name, settings) for name in sorted(strange) if name.upper() not in known}


def _hint(name: str, settings: list[str]) -> str:
    # What all of them begin with makes none of them more like another.
    by_rest = {setting.removeprefix(PREFIX): setting for setting in settings}
    nearest = get_close_matches(name.upper().removeprefix(PREFIX), by_rest, n=1)
    return f"is {by_rest[nearest[0]]} meant?" if nearest else "settle config shows those there are"
