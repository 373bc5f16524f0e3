"""In which form a client would rather have an answer: the header `Accept` of RFC 9110.

Only for what there are two forms of. What a client does not take it gets all the same where
there is no other, as that RFC allows; pure but for the request it reads.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gateway.requests.elements import elements_of

if TYPE_CHECKING:
    from starlette.requests import Request

_WEIGHT = re.compile(r"q\s*=\s*([01](?:\.[0-9]{0,3})?)", re.IGNORECASE)


def prefers(request: Request, named: str, otherwise: str) -> bool:
    """Return whether a client names a form, and would not rather have another.

    Args:
        request: What it sent.
        named: A media type, which no wildcard stands for here.
        otherwise: The media type that everybody gets else.
    """
    weights = dict(map(_weighed, elements_of(request, "accept")))
    weight = weights.get(named, 0.0)
    others = (otherwise, f"{otherwise.partition('/')[0]}/*", "*/*")
    other = next((weights[name] for name in others if name in weights), 0.0)
    return weight > 0 and weight >= other


def _weighed(text: str) -> tuple[str, float]:
    name, *parameters = text.split(";")
    found = (_WEIGHT.fullmatch(parameter.strip()) for parameter in parameters)
    weight = next((float(one[1]) for one in found if one), 1.0)
    return name.strip().lower(), weight
