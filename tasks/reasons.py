"""Reasons without what differs from one case to the next, so that equal ones can be counted.

The value that was given, places in a text, numbers, and ids with digits in them. What the
database names in double quotes, such as a constraint, and its code stay.
"""

from __future__ import annotations

import re

ANYTHING = "…"

_PARTS = re.compile(
    r"""
      (?P<kept> \A[0-9A-Z]{5}(?=\s) | "[^"]*" )
    | (?P<given> (?<=,\ got\ ) .+? (?=;\ \w+:\ |\Z) )
    | [\w.-]*\d[\w.,-]*(?<![.,])
    """,
    re.DOTALL | re.VERBOSE,
)


def kind_of(reason: str) -> str:
    """Return what a reason has in common with others of its kind."""
    return _PARTS.sub(lambda found: found["kept"] or ANYTHING, reason)
