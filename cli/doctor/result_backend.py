"""Celery's result backend, where one is configured."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from service.addresses import is_redis
from service.finding import Finding, unknown
from service.reaching import RedisServer, reach_redis
from service.redis_checks import server
from worker.transport.redis.checks import judge_rights

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "celery-task-meta-doctor"
COMMANDS = (("GET", KEY), ("SETEX", KEY, 1, ""), ("PUBLISH", KEY, ""))


@contextmanager
def reach_backend(url: str) -> Iterator[RedisServer | None]:
    """Connect to a backend; to None if it is of a kind that is not looked at here."""
    if not is_redis(url):
        yield None
        return
    with reach_redis(url) as backend:
        yield backend


def backend(redis_server: RedisServer | None) -> Finding:
    """Check that it is there."""
    if redis_server is None:
        return unknown("not a Redis: not checked")
    return server(redis_server)


def storing(redis_server: RedisServer | None) -> Finding:
    """Check that results may be stored."""
    if redis_server is None:
        return unknown("not a Redis: not checked")
    return judge_rights(redis_server.denied(COMMANDS))


CHECKS = (backend, storing)
