"""`POST /v2/api/events`: events created pending, once for each id.

An addition to the API that the other operations are of, for whoever has no database role
to insert with. The gateway's own role must be allowed to insert; see docs/privileges.md.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException

from db import BadDataError, NotAllowedError
from gateway import terms
from gateway.requests.answers import answer
from gateway.requests.patience import until_stopped
from tasks.new_events import CreatedEvent, understand_new_events

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from db import Database
    from gateway.access.admission import Charge
    from gateway.requests.body import Reader
    from gateway.requests.patience import Patience
    from tasks.new_events import NewEvent


class Creator:
    """Creates the events of requests."""

    def __init__(
        self, database: Database, reader: Reader, patience: Patience, charge: Charge
    ) -> None:
        self._database, self._reader, self._patience = database, reader, patience
        self._charge = charge

    async def create(self, request: Request, accounts: frozenset[str] | None) -> Response:
        """Create the events of a request, and answer with what became of each.

        Args:
            request: Whose key is known.
            accounts: For which it may create events, None for all.
        """
        with until_stopped():
            body = await self._reader.read(request, accounts)
        events = understand_new_events(body)
        _check_accounts(events, accounts)
        await self._charge(request, [event.account_id for event in events])
        creations = [event.as_creation() for event in events]
        create = partial(self._database.create_events, creations)
        try:
            created = await self._patience.ask(create, accounts)
        except NotAllowedError as error:
            raise HTTPException(403, terms.MAY_NOT_CREATE) from error
        except BadDataError as error:
            raise HTTPException(400, terms.refused_by_database(str(error))) from error
        return answer(
            CreatedEvent.of(event.id, one) for event, one in zip(events, created, strict=True)
        )


def _check_accounts(events: Sequence[NewEvent], accounts: frozenset[str] | None) -> None:
    if accounts is None:
        return
    for number, event in enumerate(events):
        if event.account_id not in accounts:
            raise HTTPException(403, terms.other_account(number))
