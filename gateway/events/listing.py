"""`GET /v2/api/events`: events by their status, type, account and time, oldest first.

Pages are as documented. They skip and repeat where events are settled between two of them,
so every answer that is not the last also names the next page by the place where it begins,
in `Link` (RFC 8288): whoever follows it misses no event that was pending throughout.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from starlette.exceptions import HTTPException

from db import BadDataError, NotAllowedError, TransientDatabaseError
from gateway import terms
from gateway.events.cursors import write_cursor
from gateway.events.list_parameters import understand_parameters
from gateway.requests.answers import answer
from tasks.events import Event

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from db.listing import ListPosition
    from gateway.events.reading import ListReader


class Lister:
    """Lists the events that requests ask for."""

    def __init__(self, reader: ListReader) -> None:
        self._reader = reader

    async def list(self, request: Request, accounts: frozenset[str] | None) -> Response:
        """Answer with a page of events.

        Args:
            request: Whose key is known.
            accounts: Whose events there are for it, None for all.
        """
        given = request.query_params.multi_items()
        listing = understand_parameters(given, accounts)
        try:
            listed = await self._reader.read(listing, accounts)
        except TransientDatabaseError as error:
            if not error.took_too_long:
                raise
            raise HTTPException(503, terms.TOO_LONG_LIST, terms.RETRY_SOON) from error
        except NotAllowedError as error:
            raise HTTPException(403, terms.MAY_NOT_LIST) from error
        except BadDataError as error:
            raise HTTPException(400, terms.refused_by_database(str(error))) from error
        headers = {"Link": _next(given, listed.last)} if listed.last else None
        return answer(map(Event.from_row, listed.rows), headers)


def _next(given: list[tuple[str, str]], last: ListPosition) -> str:
    kept = [(name, value) for name, value in given if name not in ("page", "after")]
    query = urlencode([*kept, ("after", write_cursor(last))])
    return f'<{terms.EVENTS}?{query}>; rel="next"'
