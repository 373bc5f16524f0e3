"""The service as one JSON object, for scripts: an interface."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from service.catalogue import OUTCOMES
from worker.telling.metrics import PATHS, STEPS, WHYS
from worker.telling.vitals import BROKER, SERVERS

if TYPE_CHECKING:
    from cli.top.view import View, WorkerView


def to_json(view: View) -> dict[str, Any]:
    """Write it down; a rate or a mean that is not known is null."""
    poll = view.poll
    return {
        "queue": {
            "messages": poll.waiting,
            "oldestAgeSeconds": _round(poll.oldest_age_seconds),
            "delayed": poll.delayed,
        },
        "deadLettersKept": poll.dead_letters,
        "updates": {outcome: view.total(f"updates.{outcome}") for outcome in OUTCOMES},
        "updatesPerSecond": _rates(view, "updates", OUTCOMES),
        "messagesPerSecond": _rates(view, "messages_fetched", PATHS),
        "batches": {why: view.total(f"batches.{why}") for why in WHYS},
        "batchesPerSecond": _rates(view, "batches", WHYS),
        "batchesRetried": view.total("batches_retried"),
        "batchesGivenBack": view.total("batches_given_back"),
        "updatesPerBatch": _round(view.mean("batch_updates")),
        "latencySeconds": _round(view.mean("latency_seconds")),
        "stepSeconds": {step: _round(view.mean(f"batch_step_seconds.{step}")) for step in STEPS},
        "workers": [_worker(view, worker) for worker in view.workers],
        "notes": list(poll.notes),
    }


def _worker(view: View, worker: WorkerView) -> dict[str, Any]:
    answer = worker.answer
    return {
        "name": answer.name,
        "answers": view.answers(worker),
        "lastSeenSeconds": _round(view.poll.at - worker.seen_at),
        "pid": answer.pid,
        "uptimeSeconds": answer.number("uptime_seconds"),
        "live": bool(answer.number("live")),
        "liveWhy": answer.stats.get("live_why"),
        "ready": bool(answer.number("ready")),
        "readyWhy": answer.stats.get("ready_why"),
        "breakerTripped": bool(answer.number("breaker_tripped")),
        "servers": {
            server: bool(answer.number("server_up", server)) for server in (*SERVERS, *BROKER)
        },
        "slots": answer.number("slots"),
        "slotsTaken": answer.number("slots_taken"),
        "heldMessages": answer.stats.get("held_messages"),
        "heldUpdates": answer.stats.get("held_updates"),
        "updates": answer.stats.get("updates"),
        "updatesPerSecond": _round(worker.rate("updates.")),
        "latencySeconds": _round(worker.mean("latency_seconds")),
    }


def _rates(view: View, metric: str, labels: tuple[str, ...]) -> dict[str, float | None]:
    return {label: _round(view.rate(f"{metric}.{label}")) for label in labels}


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
