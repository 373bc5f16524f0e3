"""What stands beside a rig during a storm, and what strikes that.

A stage is a context around the workers and the accounting, and gives what strikes. What
others must not lose is one of the rig's `claims`.
"""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from typing import TYPE_CHECKING, Any

import psutil
import psycopg
from redis.exceptions import OutOfMemoryError

from cli.embedded import Redis, temporary_folder
from settle_client import OutcomeClient
from settle_client.envelope import single
from settle_client.names import QUEUE
from settle_client.update import StatusUpdate
from tests.faults.network import Link
from tests.faults.strikes import kill_a_worker
from tests.service import eventually
from tests.shop import shop_beside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tests.faults.rig import Rig

    # May return in how many seconds outcomes came again, if it has seen that.
    Strike = Callable[[Rig], float | None]
    Stage = Callable[[Rig], AbstractContextManager[Strike]]

STREAM, GROUP = "event-outcomes", "billing"
# Longer than the lease of the rig's workers.
LONG_TASK_SECONDS = 5.0
STALL_SECONDS = 2.0
# Of what there is, more than the connections of a worker may need.
ROOM_BYTES = 300_000
GUARD = """
CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.id LIKE 'raises%' THEN RAISE EXCEPTION 'the period is closed'; END IF;
  IF NEW.id LIKE 'keeps%' THEN RETURN NULL; END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER guard BEFORE UPDATE ON events FOR EACH ROW EXECUTE FUNCTION guard()
"""
NO_GUARD = "DROP TRIGGER guard ON events; DROP FUNCTION guard()"


def alone(strike: Strike) -> Stage:
    """Let nothing stand beside it."""

    @contextmanager
    def stage(_: Rig) -> Iterator[Strike]:
        yield strike

    return stage


def behind_links(strike: Strike) -> Stage:
    """Put a link before each server."""

    @contextmanager
    def stage(rig: Rig) -> Iterator[Strike]:
        with ExitStack() as stack:
            servers = (rig.postgres, rig.broker, rig.outcomes)
            rig.links = [stack.enter_context(Link(server.port)) for server in servers]
            yield strike
            for worker in rig.workers:
                worker.kill()

    return stage


@contextmanager
def beside_a_shop(rig: Rig) -> Iterator[Strike]:
    """Run a stock Celery application on the same Redis, and kill our workers."""
    parcels: list[str] = []
    with shop_beside(rig.service, rig.service.folder) as shop:

        def strike(rig: Rig) -> None:
            new = [f"parcel-{len(parcels) + number}" for number in range(6)]
            long, delayed, *others = new
            shop.send(long, LONG_TASK_SECONDS)
            shop.send(delayed, countdown=LONG_TASK_SECONDS)
            for parcel in others:
                shop.send(parcel)
            parcels.extend(new)
            kill_a_worker(rig)

        def astray() -> list[str]:
            expected = {f"{what} {parcel}" for parcel in parcels for what in ("begin", "end")}
            eventually(lambda: shop.notes().keys() >= expected, shop.notes)
            return [f"{note}: {times} times" for note, times in shop.notes().items() if times > 1]

        rig.claims.append(astray)
        yield strike


@contextmanager
def short_of_memory(rig: Rig) -> Iterator[Strike]:
    """Send until Redis has no more memory to give, while no worker consumes."""

    def strike(rig: Rig) -> None:
        processes = [psutil.Process(worker.process.pid) for worker in rig.workers]
        for process in processes:
            process.suspend()
        used = rig.service.redis.info("memory")["used_memory"]
        rig.service.redis.config_set("maxmemory", used + ROOM_BYTES)
        with suppress(OutOfMemoryError):
            while True:
                envelope = single(StatusUpdate("ev_unknown", "completed"))
                rig.service.redis.lpush(QUEUE, envelope.item())
                rig.load.of_others.add(envelope.message_id)
        for process in processes:
            process.resume()

    yield strike
    rig.service.redis.config_set("maxmemory", 0)


@contextmanager
def with_results(rig: Rig) -> Iterator[Strike]:
    """Let senders want results, and take away what stores them every second time."""
    with temporary_folder() as folder, Redis(folder / "backend") as backend:
        rig.settings["CELERY_RESULT_BACKEND"] = backend.url
        rig.load.wants_results = True

        def strike(_: Rig) -> None:
            if backend.pid is None:
                backend.start()
            else:
                backend.stop(immediate=True)

        yield strike


@contextmanager
def read_by_a_group(rig: Rig) -> Iterator[Strike]:
    """Let a consumer read all outcomes in a stream that is short, and stall now and then."""
    reader = Reader(rig)
    reader.start()
    rig.load.read_outcomes = reader.outcomes
    rig.claims.append(lambda: [f"gone: {gone}" for gone in reader.gone])

    def strike(_: Rig) -> None:
        reader.may_read.clear()
        time.sleep(STALL_SECONDS)
        reader.may_read.set()

    yield strike


class Reader(threading.Thread):
    """A member of a consumer group, who may stall."""

    def __init__(self, rig: Rig) -> None:
        super().__init__(daemon=True)
        self._channel = rig.service.channel
        self._channel.xgroup_create(STREAM, GROUP, "0", mkstream=True)
        self._client = OutcomeClient(rig.service.outcome_url)
        self._read: list[dict[str, Any]] = []
        self.gone: list[Any] = []
        self.may_read = threading.Event()
        self.may_read.set()

    def run(self) -> None:
        """Read whatever comes."""
        for outcome in self._client.follow(GROUP, "one", on_gone=self.gone.append):
            self._read.append(outcome.to_dict())
            self.may_read.wait()

    def outcomes(self) -> list[dict[str, Any]]:
        """Return everything, once there is nothing more to be read."""
        eventually(lambda: not self._left(), self._left)
        return list(self._read)

    def _left(self) -> int:
        (group,) = self._channel.xinfo_groups(STREAM)
        return int(group["lag"] or 0) + int(group["pending"])


@contextmanager
def with_a_guard(rig: Rig) -> Iterator[Strike]:
    """Let the database refuse to change some rows, and send updates of them."""
    numbers = count()

    def strike(rig: Rig) -> None:
        wanted = {}
        for kind in ("raises", "keeps"):
            number = next(numbers)
            refused, other = f"{kind}_{number}", f"other_{number}"
            rig.service.load(refused, other)
            for ids in ([refused], [refused, other]):
                updates = [{"id": id_, "status": "completed"} for id_ in ids]
                sent = rig.service.send(args=[updates], ignore_result=True)
                rig.load.of_others.add(sent.id)
                wanted[sent.id] = ids
        # While others are settled: what is refused when nothing is, is held for longer.
        rig.service.wait(wanted)

    def told_otherwise() -> list[str]:
        return [
            f"{id_}: {outcomes[0]}"
            for (message_id, id_), outcomes in rig.load.outcomes_by_update().items()
            if message_id in rig.load.of_others
            and outcomes[0].get("reason") != (None if id_.startswith("other") else "refused")
        ]

    with psycopg.connect(rig.service.database_url, autocommit=True) as owner:
        owner.execute(GUARD)
        rig.claims.append(told_otherwise)
        yield strike
        owner.execute(NO_GUARD)
