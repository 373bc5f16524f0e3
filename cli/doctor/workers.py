"""The workers on the broker, as they answer: those of this service, and others'."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cli.doctor.examination import say
from db.database import POOL_SIZE
from service.finding import Finding, failure, ok, unknown, warning
from settle_client.names import QUEUE
from worker.batching.breaker import WAY_OUT

if TYPE_CHECKING:
    from collections.abc import Sequence

    # Of several workers, with node names, of which some may be the same.
    Answers = list[tuple[str, dict[str, Any]]]

# For all of them together: the broker asks every worker at once.
ANSWER_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class WorkerFacts:
    """What a worker says of itself.

    Attributes:
        is_ours: Whether it consumes the update queue, or would.
        lease_seconds: After which it takes messages from workers that seem dead;
            None if it leaves that to the transport's default, or the broker.
        not_ready: Why it settles nothing, as it says itself; '' if it does.
        is_tripped: Whether that is because too much is not valid.
    """

    name: str
    is_ours: bool
    pool: str
    concurrency: int
    lease_seconds: float | None
    not_ready: str = ""
    is_tripped: bool = False

    @property
    def sessions(self) -> int:
        """Return how many sessions it may have in the database."""
        per_process = 1 if self.pool == "prefork" else self.concurrency
        processes = self.concurrency if self.pool == "prefork" else 1
        return min(per_process, POOL_SIZE) * processes


@dataclass(frozen=True, slots=True)
class Workers:
    """Those that answered, or why they could not be asked."""

    all: tuple[WorkerFacts, ...] = ()
    not_asked: str = ""

    @property
    def ours(self) -> list[WorkerFacts]:
        """Return those of this service, also those that consume nothing just now."""
        return [worker for worker in self.all if worker.is_ours]


def ask_workers(app: Any) -> Workers:
    """Ask every worker on the broker, and wait a moment for the answers."""
    try:
        queues = dict(ask_each(app, "active_queues"))
        # RabbitMQ lets workers of one name take turns: who asks twice hears of a second one.
        rounds = [_of_dicts(ask_each(app, "stats")) for _ in range(2)]
    except Exception as error:  # noqa: BLE001 - it matters to this one check only
        return Workers(not_asked=f"could not be asked: {say(error)}")
    names = sorted({name for answers in rounds for name, _ in answers})
    return Workers(
        tuple(
            _worker(name, stats, queues.get(name) or ())
            for name in names
            for stats in _all_named(name, rounds)
        )
    )


def ask_each(app: Any, question: str, connection: Any = None) -> list[tuple[str, Any]]:
    """Ask every worker, and return the answers with node names, of which some may be the same."""
    answers = app.control.broadcast(
        question, reply=True, timeout=ANSWER_SECONDS, connection=connection
    )
    return [named for answer in answers or () for named in answer.items()]


def _of_dicts(answers: list[tuple[str, Any]]) -> Answers:
    return [(name, stats) for name, stats in answers if isinstance(stats, dict)]


def _all_named(name: str, rounds: Sequence[Answers]) -> list[dict[str, Any]]:
    """Return what each worker of a name has said, once."""
    by_round = [[stats for one, stats in answers if one == name] for answers in rounds]
    by_process = {stats.get("pid"): stats for answers in by_round for stats in answers}
    # In containers all are process 1.
    return max([*by_round, list(by_process.values())], key=len)


def names(workers: Workers) -> Finding:
    """Check that each worker has a node name of its own."""
    shared = [
        f"{count} workers are named {name}"
        for name, count in Counter(worker.name for worker in workers.ours).items()
        if count > 1
    ]
    if shared:
        return warning(
            f"{'; '.join(shared)}: probes, settle top and `celery inspect` take them for one",
            "a name for each, as with -n w1@%h, where they have one host name",
        )
    return unknown(workers.not_asked) if workers.not_asked else ok("each has its own")


def _worker(name: str, stats: dict[str, Any], queues: Sequence[dict[str, Any]]) -> WorkerFacts:
    pool = stats.get("pool", {})
    transport_options = stats.get("broker", {}).get("transport_options", {})
    # Only a worker of Settle says how it is.
    says = stats.get("settle") or {}
    # Such as celery.concurrency.prefork:TaskPool.
    module = str(pool.get("implementation", "")).partition(":")[0]
    return WorkerFacts(
        name=name,
        is_ours="settle" in stats or any(queue.get("name") == QUEUE for queue in queues),
        pool=module.rpartition(".")[2],
        concurrency=pool.get("max-concurrency") or 1,
        lease_seconds=transport_options.get("lease_seconds"),
        not_ready="" if says.get("ready", 1) else str(says.get("ready_why")),
        is_tripped=bool(says.get("breaker_tripped")),
    )


def answering(workers: Workers) -> Finding:
    """List the workers of this service, and say which of them settle nothing, and why."""
    if workers.not_asked:
        return unknown(workers.not_asked)
    ours = workers.ours
    if not ours:
        return warning("no worker answers: updates wait", "celery -A worker worker")
    if idle := [worker for worker in ours if worker.not_ready]:
        found = "; ".join(f"{worker.name} is not ready: {worker.not_ready}" for worker in idle)
        if any(worker.is_tripped for worker in idle):
            return failure(found, WAY_OUT)
        return warning(found, "see to what it says; settle top shows when it is ready")
    described = ", ".join(f"{worker.name} ({worker.pool}, {worker.concurrency})" for worker in ours)
    return ok(f"{len(ours)}: {described}")


CHECKS = (answering, names)
