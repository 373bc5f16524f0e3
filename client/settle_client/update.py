"""An update: what is asked for one event.

The one definition of it, for whoever sends updates and for the service that takes
them: JSON is decoded straight into it. What is decoded already is checked, and
explained where it is not valid, by `settle_client.checking`. Nothing here sends or
applies one.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Status = Literal["completed", "failed"]

MAX_ID_CHARACTERS = 255

# The pattern is for readers of the schema: looking for one character is cheaper.
Identifier = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MAX_ID_CHARACTERS,
        extra_json_schema={"pattern": r"^[^\x00]*$"},
    ),
]


class StatusUpdate(
    msgspec.Struct, frozen=True, gc=False, omit_defaults=True, rename={"account_id": "accountId"}
):
    """A request to settle one event. Its other attributes may come with it and are ignored.

    Making one checks nothing: an update is checked where it comes in, and before it
    is sent.
    """

    id: Annotated[Identifier, Meta(description="The event's id.", examples=["ev_1"])]
    status: Annotated[
        Status,
        Meta(
            title="Status",
            description="What the event becomes.",
            examples=["completed"],
            extra_json_schema={"type": "string"},
        ),
    ]
    account_id: Annotated[
        Identifier | None,
        Meta(
            description="If given, an event of another account is treated as not found.",
            examples=["acct_9"],
        ),
    ] = None

    def to_dict(self) -> dict[str, str]:
        """Write it as the JSON object that it is, in Python's types."""
        account = {} if self.account_id is None else {"accountId": self.account_id}
        return {"id": self.id, "status": self.status, **account}
