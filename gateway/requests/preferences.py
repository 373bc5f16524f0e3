"""What a client would rather have: the header `Prefer` of RFC 7240, as far as it is obeyed here."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.requests import Request

ASYNC = "respond-async"
# A preference, with whatever value and parameters; a comma within quotes ends none. Quotes that
# do not end go on to the end, and nothing is read twice: a head is long enough to hold up others.
_PREFERENCE = re.compile(r'(?:"(?:[^"\\]|\\.)*+"?|[^",])++')


def prefers_async(request: Request) -> bool:
    """Return whether a client would rather be answered later."""
    given = ",".join(request.headers.getlist("prefer"))
    names = (re.split(r"[;=]", one, maxsplit=1)[0] for one in _PREFERENCE.findall(given))
    return ASYNC in {name.strip().lower() for name in names}
