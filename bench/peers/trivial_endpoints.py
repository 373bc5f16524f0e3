"""Endpoints that settle nothing, to measure what is around them.

`nothing` answers without a framework: what is left is the server and the load client.
The other two do in a framework what any handler of ours has to: read the body, decode
it, go to a thread and back, and encode an answer as long as ours.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from gateway.terms import BATCH, JSON
from settle_client.outcome import Outcome

if TYPE_CHECKING:
    from litestar import Litestar
    from starlette.applications import Starlette

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
HEADERS = ((b"content-type", JSON.encode()),)


def work(body: bytes) -> bytes:
    """Answer each update of a body with an outcome."""
    outcomes = [_outcome(update["id"], update["status"]) for update in msgspec.json.decode(body)]
    return b"[" + b",".join(outcome.to_json() for outcome in outcomes) + b"]"


def _outcome(id_: str, status: str) -> Outcome:
    return Outcome(
        id=id_,
        updated=True,
        status=status,
        reason=None,
        message_id="00000000-0000-0000-0000-000000000000",
        account_id="acct_1",
        event_type="order.created",
        created_at=MOMENT,
        completed_at=MOMENT,
        failed_at=None,
        payload={},
    )


def make_starlette() -> Starlette:
    """Make the one in Starlette."""
    from starlette.applications import Starlette  # noqa: PLC0415 - one framework a process
    from starlette.responses import Response  # noqa: PLC0415
    from starlette.routing import Route  # noqa: PLC0415

    async def settle(request: Any) -> Response:
        answer = await asyncio.to_thread(work, await request.body())
        return Response(answer, media_type=JSON)

    return Starlette(routes=[Route(BATCH, settle, methods=["PATCH"])])


def make_litestar() -> Litestar:
    """Make the one in Litestar."""
    import litestar  # noqa: PLC0415 - one framework a process

    async def settle(request: Any) -> Any:
        answer = await asyncio.to_thread(work, await request.body())
        return litestar.Response(answer, media_type=JSON)

    settle.__annotations__ = {
        "request": litestar.Request,
        "return": litestar.Response[bytes],
    }
    return litestar.Litestar([litestar.patch(BATCH)(settle)], openapi_config=None)


async def nothing(scope: Any, receive: Any, send: Any) -> None:
    """Answer each update of a body, which is only counted, with the same outcome."""
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    answer = _answer(body.count(b'"id"'))
    length = (b"content-length", str(len(answer)).encode())
    await send(
        {"type": "http.response.start", "status": 200, "headers": [*HEADERS, length]},
    )
    await send({"type": "http.response.body", "body": answer})


@cache
def _answer(updates: int) -> bytes:
    one = _outcome("evt_000000000", "completed").to_json()
    return b"[" + b",".join([one] * updates) + b"]"
