"""Of whose accounts somebody gets to see outcomes and events: as an operator's file says it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator


def _check(value: object) -> object:
    if value == "all" or (
        isinstance(value, list) and value and all(each and isinstance(each, str) for each in value)
    ):
        return value
    raise ValueError('must be a list of account ids, or "all"')


# One message for whatever it is, where pydantic would have one for each kind that it could be.
AccountScope = Annotated[list[str] | Literal["all"], BeforeValidator(_check)]
