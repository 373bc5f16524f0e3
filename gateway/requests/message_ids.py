"""The id of the message that a request is: its `Idempotency-Key`, or one of its own."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException

from gateway import terms

if TYPE_CHECKING:
    from starlette.requests import Request


def message_id_of(request: Request) -> str:
    """Return the id of the message that a request is.

    Raises:
        HTTPException: Its key cannot be one.
    """
    given = request.headers.getlist("idempotency-key")
    if not given:
        return str(uuid.uuid4())
    if len(given) > 1 or not re.fullmatch(terms.MESSAGE_ID, given[0]):
        raise HTTPException(400, terms.BAD_MESSAGE_ID)
    return given[0]
