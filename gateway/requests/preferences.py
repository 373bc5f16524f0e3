"""What a client would rather have: the header `Prefer` of RFC 7240, as far as it is obeyed here."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gateway.requests.elements import elements_of

if TYPE_CHECKING:
    from starlette.requests import Request

ASYNC = "respond-async"


def prefers_async(request: Request) -> bool:
    """Return whether a client would rather be answered later."""
    names = (re.split(r"[;=]", one, maxsplit=1)[0] for one in elements_of(request, "prefer"))
    return ASYNC in {name.strip().lower() for name in names}
