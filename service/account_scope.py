"""Of whose accounts somebody gets to see outcomes and events: as an operator's file says it."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BeforeValidator

ALL: Final = "all"


def _check(value: object) -> object:
    # Whoever means every account would else get what is of none, without a word.
    if isinstance(value, list) and ALL in value:
        raise ValueError('must name no account "all": write accounts = "all" for every account')
    if value == ALL or (
        isinstance(value, list) and value and all(each and isinstance(each, str) for each in value)
    ):
        return value
    raise ValueError('must be a list of account ids, or "all"')


# One message for whatever it is, where pydantic would have one for each kind that it could be.
AccountScope = Annotated[list[str] | Literal["all"], BeforeValidator(_check)]
