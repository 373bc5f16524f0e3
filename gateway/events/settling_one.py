"""`PATCH /v2/api/events`: one event, settled, and an error where it is not.

The update is a message like a batch of one: it shares transactions with others, and its
outcome is published, also where the answer is an error. A request that comes again under
its `Idempotency-Key` is told what the row remembers, and so gets its 200 again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import Response

from gateway import terms
from gateway.requests.message_ids import message_id_of
from gateway.requests.patience import until_stopped
from settle_client.moments import timestamp
from tasks.messages import Message
from tasks.requests import understand_one

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from gateway.access.admission import Charge
    from gateway.requests.body import Reader
    from settle_client.outcome import Outcome


class OneSettler:
    """Settles the events of requests that are about one each."""

    def __init__(
        self,
        settle: Callable[[Message, frozenset[str] | None], Awaitable[list[Outcome]]],
        reader: Reader,
        charge: Charge,
    ) -> None:
        """Begin with none.

        Args:
            settle: Settles a message in time.
            reader: Reads bodies.
            charge: Holds a request to its limits.
        """
        self._settle, self._reader, self._charge = settle, reader, charge

    async def settle(self, request: Request, accounts: frozenset[str] | None) -> Response:
        """Settle the event of a request.

        Args:
            request: Whose key is known.
            accounts: Whose events there are for it, None for all.

        Raises:
            HTTPException: The event is not settled by this request.
        """
        message_id = message_id_of(request)
        with until_stopped():
            body = await self._reader.read(request, accounts)
        update = understand_one(body)
        await self._charge(request, [update.account_id])
        message = Message(message_id, (update,))
        (outcome,) = await self._settle(message, accounts)
        return answer_one(outcome)


def answer_one(outcome: Outcome) -> Response:
    """Answer with the outcome of an update that settled its event.

    Raises:
        HTTPException: It did not.
    """
    if outcome.error:
        raise HTTPException(outcome.error.status_code, outcome.error.message)
    if outcome.reason == "not_found":
        raise HTTPException(404, terms.NO_SUCH_UPDATE)
    if outcome.reason is not None:
        status = "completed" if outcome.completed_at is not None else "failed"
        moment = outcome.completed_at if status == "completed" else outcome.failed_at
        raise HTTPException(409, terms.settled_already(status, timestamp(moment or "")))
    return Response(outcome.to_json(), media_type=terms.JSON)
