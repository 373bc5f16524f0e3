"""The result channel and the dead letters: what is kept, and who is behind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import redis

from service.finding import Finding, failure, ok, unknown, warning
from settle_client.names import DEAD_LETTERS, OUTCOMES
from worker.transport.redis.checks import judge_rights

if TYPE_CHECKING:
    from service.reaching import RedisServer

COMMANDS = (
    ("EVALSHA", "0" * 40, 0),
    ("XADD", OUTCOMES, "*", "outcome", ""),
    ("PUBLISH", OUTCOMES, ""),
    ("XADD", DEAD_LETTERS, "*", "raw", ""),
    # At the memory limit; see tasks.memory_limit.
    ("INFO", "memory"),
    ("XTRIM", OUTCOMES, "MINID", 0),
)
# Of the stream's length, how far behind a group may be before what it has not
# read is in danger of being trimmed.
LAG_MARGIN = 0.5


def publishing(server: RedisServer) -> Finding:
    """Check that the worker's user may publish outcomes and dead letters."""
    return judge_rights(server.denied(COMMANDS))


def stream(server: RedisServer) -> Finding:
    """Check that the stream is one, and how full it is."""
    kind = server.client.type(OUTCOMES)
    if kind not in ("stream", "none"):
        return failure(
            f"{OUTCOMES} is a {kind}, not a stream: no outcome can be published",
            f"find out who made it, and rename or delete it (redis-cli TYPE {OUTCOMES})",
        )
    length = server.client.xlen(OUTCOMES)
    return ok(f"{length:,} outcomes kept, of {server.stream_max_length:,} at most")


def consumer_groups(server: RedisServer) -> Finding:
    """Check that no group is so far behind that outcomes are trimmed before it reads them."""
    try:
        groups: list[dict[str, Any]] = server.client.xinfo_groups(OUTCOMES)
    except redis.ResponseError as error:
        if "no such key" in str(error):
            return ok("none yet")
        raise
    # Redis before 7 does not say.
    lags = {group["name"]: group.get("lag") for group in groups}
    behind = [
        f"{name} by {lag:,}"
        for name, lag in lags.items()
        if lag is not None and lag >= server.stream_max_length * LAG_MARGIN
    ]
    if behind:
        return warning(
            f"far behind: {', '.join(behind)}, of {server.stream_max_length:,} outcomes kept",
            "start or add consumers, or raise SETTLE_OUTCOME_STREAM_MAX_LENGTH",
        )
    if None in lags.values():
        return unknown("how far the groups are behind is not told by this version of Redis")
    lagging = ", ".join(f"{name} {lag:,} behind" for name, lag in lags.items())
    return ok(lagging or "none")


def dead_letters(server: RedisServer) -> Finding:
    """Check whether there is something for a person to look at."""
    kind = server.client.type(DEAD_LETTERS)
    if kind not in ("stream", "none"):
        return failure(
            f"{DEAD_LETTERS} is a {kind}, not a stream: no dead letter can be kept",
            f"look at it, then rename it (redis-cli RENAME {DEAD_LETTERS} {DEAD_LETTERS}.old)",
        )
    if count := server.client.xlen(DEAD_LETTERS):
        return warning(f"{count:,} dead letters", "look at them: settle dead list")
    return ok("none")


CHECKS = (publishing, stream, consumer_groups, dead_letters)
