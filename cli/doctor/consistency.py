"""Settings that are each fine, and may not be fine together.

They are those of this machine's environment, as a worker started here would have
them; the pool and its concurrency are those of the workers that answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from db.database import POOL_SIZE
from service.finding import Finding, failure, ok, warning
from service.spelling import misspelt
from service.watchdog import GRACE_SECONDS
from worker.transport.broker import broker_of
from worker.transport.redis.channel import Channel
from worker.transport.redis.leases import RENEWED_AFTER

if TYPE_CHECKING:
    from collections.abc import Collection

    from cli.doctor.workers import Workers
    from service.settings import Settings

# A batch's transaction: lock and update, then read.
STATEMENTS = 2
# A worker's event loop may be busy for this long, with nothing wrong.
SHORTEST_RENEWAL_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Setup:
    """The settings, and the workers that run with them."""

    settings: Settings
    workers: Workers
    environment: Collection[str] = ()

    @property
    def longest_batch_seconds(self) -> float:
        """Return how long PostgreSQL may take over a batch before it gives it up."""
        return STATEMENTS * self.settings.statement_timeout_seconds


def lease(setup: Setup) -> Finding:
    """Check that no message is taken from a worker that is still at it."""
    settings, longest = setup.settings, setup.longest_batch_seconds
    if not broker_of(settings.broker_url).has_leases:
        return ok("this broker has no leases")
    seconds, most = settings.lease_seconds, Channel.lease_max_seconds
    if longest >= most:
        return failure(
            f"a batch may take {longest:g} s, but no lease is renewed for more than {most} s",
            f"SETTLE_STATEMENT_TIMEOUT_SECONDS under {most / STATEMENTS:g}",
        )
    solo = [worker.name for worker in setup.workers.ours if worker.pool == "solo"]
    if solo and seconds <= longest:
        return warning(
            f"{', '.join(solo)}: a solo pool renews no lease ({seconds:g} s) during a batch, "
            f"which may take {longest:g} s",
            "--pool threads, or a longer SETTLE_LEASE_SECONDS",
        )
    if seconds * RENEWED_AFTER < SHORTEST_RENEWAL_SECONDS:
        return warning(
            f"a lease of {seconds:g} s ends when a worker is merely busy",
            f"SETTLE_LEASE_SECONDS of {SHORTEST_RENEWAL_SECONDS / RENEWED_AFTER:g} or more",
        )
    return ok(f"{seconds:g} s, renewed while a batch is applied, which takes at most {longest:g} s")


def leases_of_others(setup: Setup) -> Finding:
    """Check that all workers on the broker have the same idea of a dead one."""
    here, workers = setup.settings.lease_seconds, setup.workers
    if not broker_of(setup.settings.broker_url).has_leases:
        return ok("this broker has no leases")
    ours = {"here": here} | {w.name: w.lease_seconds or here for w in workers.ours}
    renewal = max(ours.values()) * RENEWED_AFTER
    hasty = [name for name, lease in ours.items() if lease <= renewal]
    one_for_all = "one SETTLE_LEASE_SECONDS for all workers"
    if hasty:
        return failure(
            f"{', '.join(hasty)}: takes messages from living workers, for its lease "
            f"is no longer than others take to renew theirs ({renewal:g} s)",
            one_for_all,
        )
    if len(set(ours.values())) > 1:
        leases = ", ".join(f"{name} {lease:g} s" for name, lease in ours.items())
        return warning(f"{leases}: the shortest counts", one_for_all)
    return ok("as here" if workers.ours else "nobody else told")


def stop(setup: Setup) -> Finding:
    """Check that a batch that is being applied can be finished when a worker stops."""
    settings = setup.settings
    most, lock = settings.stop_timeout_seconds, settings.lock_timeout_seconds
    if most <= lock:
        return warning(
            f"a worker stops within {most:g} s, a batch may wait {lock:g} s for a locked row: "
            "it is then left to be delivered again",
            f"SETTLE_STOP_TIMEOUT_SECONDS over {lock:g}",
        )
    grace = most + GRACE_SECONDS
    return ok(f"batches are finished within {most:g} s; let the supervisor wait over {grace:g} s")


def batch(setup: Setup) -> Finding:
    """Check that a batch is as large as it is meant to be at most."""
    largest, message = (
        setup.settings.batch_max_updates,
        setup.settings.message_max_updates,
    )
    if message > largest:
        return warning(
            f"a message may carry {message:,} updates, and is a batch by itself then, "
            f"larger than the {largest:,} asked for",
            "SETTLE_BATCH_MAX_UPDATES of no less than SETTLE_MESSAGE_MAX_UPDATES",
        )
    return ok(f"up to {largest:,} updates, a message up to {message:,}")


def timeouts(setup: Setup) -> Finding:
    """Check that a lock is given up before the statement that waits for it."""
    settings = setup.settings
    lock, statement = settings.lock_timeout_seconds, settings.statement_timeout_seconds
    if lock >= statement:
        return warning(
            f"a statement ends after {statement:g} s, before its wait for a lock ({lock:g} s)",
            "SETTLE_LOCK_TIMEOUT_SECONDS under SETTLE_STATEMENT_TIMEOUT_SECONDS",
        )
    return ok(f"lock {lock:g} s, statement {statement:g} s")


def pool(setup: Setup) -> Finding:
    """Check that every slot has a connection."""
    crowded = [
        f"{worker.name} ({worker.concurrency})"
        for worker in setup.workers.ours
        if worker.pool != "prefork" and worker.concurrency > POOL_SIZE
    ]
    if crowded:
        return warning(
            f"more slots than the {POOL_SIZE} connections of a process: {', '.join(crowded)}",
            f"--concurrency of at most {POOL_SIZE}, and more workers",
        )
    return ok(f"a process has up to {POOL_SIZE} connections, one for each slot")


def spelling(setup: Setup) -> Finding:
    """Check that every variable that is meant as a setting is one."""
    if strange := misspelt(setup.environment):
        hints = "; ".join(f"{name}: {hint}" for name, hint in strange.items())
        return warning(f"no setting, and without effect: {', '.join(strange)}", hints)
    return ok("every SETTLE_ variable is a setting")


CHECKS = (lease, leases_of_others, stop, timeouts, batch, pool, spelling)
