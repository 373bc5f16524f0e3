"""PostgreSQL fails over: each of these breaks a primary or its standby, under load.

The standby is synchronous. Fencing is what a test does by itself here, as Patroni would. Each
returns in how many seconds outcomes came again, from when it struck, with the promotion.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import psycopg

from cli.embedded import temporary_folder
from tests.faults.alternating import Alternating
from tests.faults.strikes import CHANCE
from tests.hosts import hosts
from tests.standby import FOLLOWED, set_read_only, wait_for, wait_until_read_only

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.faults.rig import Rig
    from tests.faults.stages import Stage, Strike

    Breaking = Callable[[Rig, Alternating], float]

# What was on its way by then still comes.
ON_ITS_WAY_SECONDS = 0.3
LAG_SECONDS = 0.2
CANCELS = 20
WRITING = "SELECT count(*) FROM pg_stat_activity WHERE backend_xid IS NOT NULL"
CANCEL = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


def failing_over(
    breaking: Breaking, *, several_hosts: bool = False, namespaces: bool = False
) -> Stage:
    """Let workers find whichever server takes writes.

    Args:
        breaking: What happens, again and again.
        several_hosts: By an address that has both servers, rather than by one that moves.
        namespaces: Each server is on a host of its own, which can be cut off.
    """

    @contextmanager
    def stage(rig: Rig) -> Iterator[Strike]:
        first = rig.postgres
        with ExitStack() as stack:
            folder = stack.enter_context(temporary_folder())
            servers = Alternating(
                *(rig, folder, stack),
                stack.enter_context(hosts(2)) if namespaces else [],
            )
            url = servers.hosts_url if several_hosts else servers.link_url
            rig.settings["DATABASE_URL"] = url

            def strike(rig: Rig) -> float:
                servers.add_standby()
                return breaking(rig, servers)

            yield strike
            for worker in rig.workers:
                worker.kill()
            rig.postgres = first

    return stage


def kill_the_primary(rig: Rig, servers: Alternating) -> float:
    """Kill the primary with SIGKILL."""
    struck = time.time()
    servers.primary.kill()
    servers.take_over()
    return _seconds_until_outcomes(rig, struck)


def switch_over(rig: Rig, servers: Alternating) -> float:
    """Stop the primary in order, which the standby follows to its end."""
    struck = time.time()
    servers.primary.stop()
    servers.take_over()
    return _seconds_until_outcomes(rig, struck)


def retire_the_primary(rig: Rig, servers: Alternating) -> float:
    """Let the primary take no writes any more, and keep its sessions."""
    struck = time.time()
    primary = servers.primary
    set_read_only(primary.url, "on")
    wait_until_read_only(primary.url)
    wait_for(primary, WRITING, 0)
    wait_for(primary, FOLLOWED, True)
    servers.take_over()
    return _seconds_until_outcomes(rig, struck)


def cut_the_primary_off(rig: Rig, servers: Alternating) -> float:
    """Cut the primary's host off, without a word to anybody; it lives on, and joins again later."""
    struck = time.time()
    assert servers.primary.place.host
    servers.primary.place.host.cut_off()
    servers.take_over()
    # As a proxy does that finds a server gone; nothing goes over it where there are several hosts.
    servers.link.cut()
    return _seconds_until_outcomes(rig, struck)


def divide(rig: Rig, servers: Alternating) -> float:
    """Let the primary lose its standby, which is promoted, and keep its workers for a while.

    What they ask of it is to have no answer. It is ended before they find the other.
    """
    struck = time.time()
    servers.replication.silent = True
    servers.replication.cut()
    servers.take_over()
    rig.start_worker()
    seconds = _seconds_until_outcomes(rig, struck)
    time.sleep(CHANCE.uniform(1, 3))
    servers.end_former()
    servers.replication.silent = False
    rig.recover(time.time())
    rig.workers.pop(0).kill()
    return seconds


def kill_the_primary_of_a_laggard(rig: Rig, servers: Alternating) -> float:
    """Let a standby have everything later by a while, and kill its primary."""
    servers.replication.delay_seconds = LAG_SECONDS
    time.sleep(CHANCE.uniform(1, 3))
    seconds = kill_the_primary(rig, servers)
    servers.replication.delay_seconds = 0.0
    return seconds


def kill_the_standby(rig: Rig, servers: Alternating) -> float:
    """Let commits wait for a standby that is not there, until it comes back."""
    struck = time.time()
    servers.standby.kill()
    time.sleep(CHANCE.uniform(1, 4))
    servers.standby.start()
    return _seconds_until_outcomes(rig, struck)


def cancel_what_waits(rig: Rig, servers: Alternating) -> float:
    """Cancel the waits for a standby that is away, and let it take over without what waited."""
    struck = time.time()
    servers.standby.kill()
    with psycopg.connect(servers.primary.url, autocommit=True) as operator:
        for _ in range(CANCELS):
            operator.execute(CANCEL)
            time.sleep(CHANCE.uniform(0.02, 0.2))
    servers.primary.kill()
    servers.standby.start()
    servers.take_over()
    return _seconds_until_outcomes(rig, struck)


def _seconds_until_outcomes(rig: Rig, struck: float) -> float:
    rig.recover(max(struck + ON_ITS_WAY_SECONDS, time.time()))
    return time.time() - struck
