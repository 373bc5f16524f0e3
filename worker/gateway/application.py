"""The operations of the gateway, as an ASGI application.

`PATCH /v2/api/events/batch` settles, `GET /v2/api/events/{id}` looks, `/healthz` and
`/metrics` are for whoever watches. Their contract is contracts/openapi.json.
"""

from __future__ import annotations

import asyncio
import re
import uuid
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from pydantic import TypeAdapter, ValidationError
from starlette.applications import Starlette
from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from db import DatabaseError
from tasks.errors import OutcomesNotPublishedError
from tasks.events import Event
from tasks.messages import Identifier, Message, explain
from tasks.requests import understand_request
from worker.gateway import terms
from worker.gateway.admission import Admission
from worker.gateway.body import Reader
from worker.gateway.counting import Counting
from worker.gateway.metrics import CATALOGUE
from worker.gateway.problems import Problems
from worker.gateway.publishing import PatientPublisher
from worker.gateway.settling import Settler

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from worker.gateway.keys import Keys
    from worker.service import Service
    from worker.settings import Settings

JSON = "application/json"
CATCH_UP_SECONDS = 1.0
# Less than whoever asks is likely to wait.
HEALTH_SECONDS = 3.0

_check_id = TypeAdapter(Identifier).validate_python


class Text(Convertor[str]):
    """The rest of a path; unlike `path` with line breaks, which an id may have too."""

    regex = "(?s:.*)"

    def convert(self, value: str) -> str:
        """Take it as it is."""
        return value

    def to_string(self, value: str) -> str:
        """Write it as it is."""
        return value


register_url_convertor("text", Text())


class Gateway:
    """Answers requests, for one process."""

    def __init__(self, settings: Settings, service: Service, keys: Keys | None) -> None:
        self._service, self._max_updates = service, settings.message_max_updates
        self._admission = Admission(keys, settings.gateway_requests_per_second)
        self._reader = Reader(settings.gateway_body_max_bytes)
        self._publisher = PatientPublisher(service.publisher)
        self._settler = Settler(service, self._publisher, max_updates=settings.batch_max_updates)
        self._checking: asyncio.Task[None] | None = None
        self.problems = Problems()

    async def settle(self, request: Request) -> Response:
        """Settle the events of a request, and answer with an outcome for each update."""
        if request.method != "PATCH":
            # Otherwise GET would be taken to ask for an event of this name.
            raise HTTPException(405, headers={"Allow": "PATCH"})
        accounts = self._admission.admit(request)
        message_id = _message_id(request)
        body = await self._reader.read(request)
        updates = understand_request(body, max_updates=self._max_updates)
        outcomes = await self._settler.settle(Message(message_id, tuple(updates)), accounts)
        self.problems.is_over()
        return Response(b"[" + b",".join(o.to_json() for o in outcomes) + b"]", media_type=JSON)

    async def look(self, request: Request) -> Response:
        """Show an event as it stands."""
        accounts = self._admission.admit(request)
        try:
            id_ = _check_id(request.path_params["id"])
        except ValidationError as error:
            raise HTTPException(400, explain(error, "id")) from error
        rows = await asyncio.to_thread(self._service.database.read_events, [id_], with_payload=True)
        row = rows.get(id_)
        if row is None or (accounts is not None and row.account_id not in accounts):
            raise HTTPException(404, terms.NO_EVENT)
        return Response(Event.from_row(row).to_json(), media_type=JSON)

    async def tell_health(self, request: Request) -> Response:
        """Tell whether updates can be settled."""
        try:
            async with asyncio.timeout(HEALTH_SECONDS):
                await asyncio.shield(self._one_check())
        except (DatabaseError, OutcomesNotPublishedError, TimeoutError) as error:
            self.problems.note("not healthy", error)
            raise HTTPException(503, terms.UNHEALTHY, terms.RETRY_SOON) from error
        self.problems.is_over()
        return JSONResponse({"status": "ok"})

    def _one_check(self) -> asyncio.Task[None]:
        # Nobody is asked for a key here: however many ask, the servers are asked once.
        if self._checking is None or self._checking.done():
            self._checking = asyncio.create_task(asyncio.to_thread(self._service.check))
        return self._checking

    async def expose_metrics(self, request: Request) -> Response:
        """Expose the metrics."""
        self._admission.admit(request)
        return Response(generate_latest(CATALOGUE.registry), media_type=CONTENT_TYPE_LATEST)

    @asynccontextmanager
    async def running(self, application: Starlette) -> AsyncIterator[None]:
        """Publish what could not be published, until the end."""
        catching_up = asyncio.create_task(self._catch_up_for_ever())
        try:
            yield
        finally:
            catching_up.cancel()
            self._settler.close()
            self._publisher.close()

    async def _catch_up_for_ever(self) -> None:
        while True:
            await asyncio.sleep(CATCH_UP_SECONDS)
            with suppress(OutcomesNotPublishedError):
                await asyncio.to_thread(self._publisher.catch_up)


def _message_id(request: Request) -> str:
    """Return the id of the message that a request is."""
    given = request.headers.getlist("idempotency-key")
    if not given:
        return str(uuid.uuid4())
    if len(given) > 1 or not re.fullmatch(terms.MESSAGE_ID, given[0]):
        raise HTTPException(400, terms.BAD_MESSAGE_ID)
    return given[0]


def make_application(settings: Settings, service: Service, keys: Keys | None) -> Starlette:
    """Make the application; nothing is connected yet."""
    gateway = Gateway(settings, service, keys)
    settling = Route(terms.BATCH, gateway.settle)
    # Any: it refuses the others itself, and no other route is to take them.
    settling.methods = None
    application = Starlette(
        routes=[
            settling,
            Route(terms.EVENT.replace("{id}", "{id:text}"), gateway.look),
            Route(terms.HEALTH, gateway.tell_health),
            Route(terms.METRICS, gateway.expose_metrics),
        ],
        middleware=[Middleware(Counting)],
        exception_handlers=gateway.problems.handlers,
        lifespan=gateway.running,
    )
    application.router.redirect_slashes = False
    return application
