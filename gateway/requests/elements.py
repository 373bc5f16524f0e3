"""The elements of a header that is a list, as RFC 9110 (5.6.1) has it; what they say is others'."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.requests import Request

# With whatever value and parameters; a comma within quotes ends none. Quotes that do not end go
# on to the end, and nothing is read twice: a head is long enough to hold up others.
_ELEMENT = re.compile(r'(?:"(?:[^"\\]|\\.)*+"?|[^",])++')


def elements_of(request: Request, header: str) -> list[str]:
    """Return the elements of all headers of a name, in order."""
    return _ELEMENT.findall(",".join(request.headers.getlist(header)))
