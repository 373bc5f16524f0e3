"""The operations of the gateway, as an ASGI application.

`PATCH /v2/api/events/batch` settles, `GET /v2/api/events/{id}` looks, `gateway.events.collection`
has what there is at `/v2/api/events`; `/healthz` and `/metrics` are for whoever watches. Their
contract is handed in, and served by `gateway.pages`.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager, nullcontext, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway import terms
from gateway.access.admission import Admission
from gateway.access.fields import RateLimitFields
from gateway.access.policies import Policies
from gateway.access.shared_buckets import ANSWER_SECONDS, SharedBuckets
from gateway.counting import Counting
from gateway.events.collection import Collection
from gateway.events.creating import Creator
from gateway.events.listing import Lister
from gateway.events.publishing import PatientPublisher
from gateway.events.reading import ListReader
from gateway.events.settling import Settler
from gateway.events.settling_one import OneSettler
from gateway.health import Health
from gateway.messages.enqueuing import Enqueuer
from gateway.messages.operation import Messages
from gateway.messages.records import Records
from gateway.metrics import CATALOGUE
from gateway.outcomes.hub import Hub
from gateway.outcomes.operation import Outcomes
from gateway.outcomes.stream import Stream
from gateway.pages import pages
from gateway.requests.answers import answer
from gateway.requests.body import Reader
from gateway.requests.fairness import Turns
from gateway.requests.message_ids import message_id_of
from gateway.requests.paths import TrailingSlash
from gateway.requests.patience import Patience, until_stopped
from gateway.requests.preferences import prefers_async
from gateway.requests.problems import Problems
from service.addresses import is_cluster
from service.channel import Channel
from service.connections import make_replica
from service.watchdog import GRACE_SECONDS, end_after
from settle_client.checking import check_id
from settle_client.errors import InvalidUpdateError
from settle_client.redis_server import open_reader
from tasks.errors import OutcomesNotPublishedError
from tasks.events import Event
from tasks.messages import Message
from tasks.requests import understand_request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from starlette.requests import Request

    from gateway.access.keys import Keys
    from service.connections import Service
    from service.settings import Settings
    from settle_client.outcome import Outcome
    from settle_client.update import StatusUpdate

    Accounts = frozenset[str] | None

logger = logging.getLogger(__name__)

CATCH_UP_SECONDS = 1.0
# Of a few hundred updates; understood one in a turn of the loop.
LARGE_BODY_BYTES = 16_384
# Of a batch; a server that does not answer at all keeps nobody waiting for longer.
STATEMENTS = 2
HANGS = "a server does not answer: the gateway ends without it"


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
        self._buckets = SharedBuckets(
            open_reader(
                settings.result_channel_url, asynchronous=True, socket_timeout=ANSWER_SECONDS
            )
        )
        self._admission = Admission(
            keys,
            Policies(keys, settings.gateway_updates_per_second),
            self._buckets,
            settings.gateway_requests_per_second,
        )
        self._reader = Reader(settings.gateway_body_max_bytes)
        self._publisher = PatientPublisher(service.publisher)
        self._settler = Settler(service, self._publisher, max_updates=settings.batch_max_updates)
        self._turns = Turns()
        self._patience = Patience(STATEMENTS * settings.statement_timeout_seconds)
        self._lists = ListReader(
            service.database,
            make_replica(settings),
            STATEMENTS * settings.statement_timeout_seconds,
        )
        charge = self._admission.charge
        self.collection = Collection(
            self._admission,
            GET=Lister(self._lists).list,
            PATCH=OneSettler(self._settle, self._reader, charge).settle,
            POST=Creator(service.database, self._reader, self._patience, charge).create,
        )
        self._health = Health(service, self._publisher)
        self.problems = Problems()
        self._channel = Channel(open_reader(settings.result_channel_url, asynchronous=True))
        on_cluster = is_cluster(settings.result_channel_url)
        replicas = settings.outcome_min_replicas
        records = Records(self._channel, on_cluster=on_cluster, min_replicas=replicas)
        stream = Stream(self._channel)
        self.hub = Hub(stream)
        self.outcomes = Outcomes(self._admission, stream, self.hub)
        self._enqueuer = Enqueuer(settings, stream, records)
        self.messages = Messages(self._admission, stream, records)

    async def settle(self, request: Request) -> Response:
        """Settle the events of a request, and answer with an outcome for each update."""
        if request.method != "PATCH":
            # Otherwise GET would be taken to ask for an event of this name.
            raise HTTPException(405, headers={"Allow": "PATCH"})
        accounts = await self._admission.admit(request)
        message_id = message_id_of(request)

        async def charge(updates: Sequence[StatusUpdate]) -> None:
            await self._admission.charge(request, (update.account_id for update in updates))

        with until_stopped():
            if prefers_async(request):
                async with self._enqueuer.room(accounts):
                    updates = await self._read(request, accounts)
                    return await self._enqueuer.accept(message_id, updates, accounts, charge)
            updates = await self._read(request, accounts)
        await charge(updates)
        message = Message(message_id, tuple(updates))
        return answer(await self._settle(message, accounts))

    async def _read(self, request: Request, accounts: Accounts) -> list[StatusUpdate]:
        return await self._understand(await self._reader.read(request, accounts), accounts)

    async def _understand(self, body: bytes, accounts: Accounts) -> list[StatusUpdate]:
        # The loop is to see to others between two that take long.
        async with self._turns.of(accounts) if len(body) > LARGE_BODY_BYTES else nullcontext():
            return understand_request(body, max_updates=self._max_updates)

    async def _settle(self, message: Message, accounts: Accounts) -> list[Outcome]:
        outcomes = await self._patience.wait_for(self._settler.settle(message, accounts))
        self.problems.trouble.is_over()
        return outcomes

    async def look(self, request: Request) -> Response:
        """Show an event as it stands."""
        accounts = await self._admission.admit(request)
        try:
            id_ = check_id(request.path_params["id"])
        except InvalidUpdateError as error:
            raise HTTPException(400, str(error)) from error
        read = partial(
            self._service.database.read_events, [id_], with_payload=True, accounts=accounts
        )
        rows = await self._patience.ask(read, accounts)
        if id_ not in rows:
            raise HTTPException(404, terms.NO_EVENT)
        return Response(Event.from_row(rows[id_]).to_json(), media_type=terms.JSON)

    async def answer_health(self, request: Request) -> Response:
        """Answer whether updates can be settled."""
        if (obstacle := await self._health.look()) is not None:
            raise HTTPException(503, terms.unhealthy(obstacle.fix), terms.RETRY_SOON)
        lists = {"lists": self._lists.place} if self._lists.follower else {}
        return JSONResponse({"status": "ok", **lists})

    async def expose_metrics(self, request: Request) -> Response:
        """Expose the metrics."""
        await self._admission.admit(request)
        return Response(generate_latest(CATALOGUE.registry), media_type=CONTENT_TYPE_LATEST)

    @asynccontextmanager
    async def running(self, application: Starlette) -> AsyncIterator[None]:
        """Say what is in the way at the start; publish what could not be, until the end."""
        tasks = [
            asyncio.create_task(self._health.look()),
            asyncio.create_task(self._catch_up_for_ever()),
        ]
        if self._lists.follower:
            tasks.append(asyncio.create_task(self._lists.follower.follow()))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            end_after(GRACE_SECONDS, HANGS, logger)
            await self.hub.close()
            await self._enqueuer.close()
            await self._channel.close()
            await self._buckets.close()
            self._patience.close()
            self._settler.close()
            self._publisher.close()
            # Last: a replica that hangs is to keep no outcome from being published.
            self._lists.close()

    async def _catch_up_for_ever(self) -> None:
        while True:
            await asyncio.sleep(CATCH_UP_SECONDS)
            with suppress(OutcomesNotPublishedError):
                await asyncio.to_thread(self._publisher.catch_up)


def make_application(
    settings: Settings, service: Service, keys: Keys | None, contract: Mapping[str, Any]
) -> Starlette:
    """Make the application; nothing is connected yet.

    Args:
        settings: Those in force.
        service: The database and the result channel.
        keys: None where there are none.
        contract: All this as an OpenAPI document.
    """
    gateway = Gateway(settings, service, keys)
    settling = Route(terms.BATCH, gateway.settle)
    # Any: it refuses the others itself, and no other route is to take them.
    settling.methods = None
    application = Starlette(
        routes=[
            settling,
            gateway.collection.route,
            Route(terms.EVENT.replace("{id}", "{id:text}"), gateway.look),
            Route(terms.HEALTH, gateway.answer_health),
            Route(terms.METRICS, gateway.expose_metrics),
            *gateway.outcomes.routes,
            *gateway.messages.routes,
            *pages(contract),
        ],
        middleware=[
            Middleware(TrailingSlash),
            Middleware(Counting),
            Middleware(RateLimitFields),
        ],
        exception_handlers=gateway.problems.handlers,
        lifespan=gateway.running,
    )
    application.router.redirect_slashes = False
    application.state.let_listeners_go = gateway.hub.stop
    return application
