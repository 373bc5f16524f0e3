"""The result channel and the dead letters: what is kept, and who is behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.backlog import groups_standing
from service.finding import Finding, failure, ok, unknown, warning
from service.redis_checks import judge_replicas
from settle_client.names import DEAD_LETTERS, OUTCOMES
from tasks.retention import AgedStream
from worker.transport.redis.checks import judge_rights, waiting_commands

if TYPE_CHECKING:
    from collections.abc import Mapping

    from service.reaching import RedisServer
    from settle_client.standing import Standing

COMMANDS = (
    ("EVALSHA", "0" * 40, 0),
    ("XADD", OUTCOMES, "*", "outcome", ""),
    ("PUBLISH", OUTCOMES, ""),
    ("XADD", DEAD_LETTERS, "*", "raw", ""),
    # At the memory limit; see tasks.memory_limit.
    ("INFO", "memory"),
    ("XTRIM", OUTCOMES, "MINID", 0),
)
# More than that where groups are to read everything; see tasks.room.
ROOM_COMMANDS = (
    ("XLEN", OUTCOMES),
    ("XRANGE", OUTCOMES, "-", "+"),
    ("XTRIM", OUTCOMES, "MAXLEN", 0),
    ("XPENDING", OUTCOMES, "group"),
    ("XINFO", "GROUPS", OUTCOMES),
)
# Behind every entry.
END = f"{2**64 - 1}-0"
# Of the stream's length, how far behind a group may be before what it has not
# read is in danger of being trimmed.
LAG_MARGIN = 0.5
CATCH_UP = (
    "start or add consumers, and raise SETTLE_OUTCOME_STREAM_MAX_LENGTH, or name the group in "
    "SETTLE_OUTCOME_KEEP_FOR_GROUPS: then settlement waits for it"
)
SPEED_UP = "start or add consumers, or take the group out of SETTLE_OUTCOME_KEEP_FOR_GROUPS"


def publishing(server: RedisServer) -> Finding:
    """Check that the worker's user may publish outcomes and dead letters."""
    room_commands = ROOM_COMMANDS if server.groups_kept_for else ()
    return judge_rights(server.denied((*COMMANDS, *room_commands, *waiting_commands(server))))


def replicas(server: RedisServer) -> Finding:
    """Check that there are the replicas that outcomes wait for."""
    return judge_replicas(
        server, "outcomes", "nothing is acknowledged", "SETTLE_OUTCOME_MIN_REPLICAS"
    )


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


def room(server: RedisServer) -> Finding:
    """Check that settlement need not wait for a group that is to read every outcome."""
    if not server.groups_kept_for:
        return ok("made by trimming: settlement waits for no group")
    needed = AgedStream(server.client, OUTCOMES).needed(END)
    there = groups_standing(server)
    if missing := [name for name in server.groups_kept_for if name not in there]:
        return failure(
            f"settlement is to wait for a group that is not there: {', '.join(missing)}",
            f"make it (redis-cli XGROUP CREATE {OUTCOMES} {missing[0]} 0 MKSTREAM), "
            "or correct SETTLE_OUTCOME_KEEP_FOR_GROUPS",
        )
    length, most = server.client.xlen(OUTCOMES), server.stream_max_length
    oldest = [entry[0] for entry in server.client.xrange(OUTCOMES, count=1)]
    slow = [name for name in server.groups_kept_for if needed.get(name) in oldest]
    if not slow or length < most * LAG_MARGIN:
        return ok(f"settlement waits for {', '.join(server.groups_kept_for)}: not now")
    found = f"{length:,} of {most:,} outcomes are kept for {', '.join(slow)}"
    if length < most:
        return warning(f"{found}; at {most:,} settlement waits", SPEED_UP)
    return failure(f"{found}: nothing is settled until they are acknowledged", SPEED_UP)


def consumer_groups(server: RedisServer) -> Finding:
    """Check that no outcome was, or will soon be, trimmed before a group has read it."""
    standings = groups_standing(server)
    kept = server.client.xlen(OUTCOMES)
    if lost := {name: one for name, one in standings.items() if one.gone}:
        return failure(f"trimmed before they were read: {_describe(lost, kept)}", CATCH_UP)
    most = server.stream_max_length
    behind = {
        name: one
        for name, one in standings.items()
        if one.unread and one.unread >= most * LAG_MARGIN
    }
    if behind:
        return warning(
            f"far behind, and from {most:,} on outcomes are trimmed: {_describe(behind, kept)}",
            CATCH_UP,
        )
    if unknown_ones := {name: one for name, one in standings.items() if None in one}:
        return unknown(f"not told by the server: {_describe(unknown_ones, kept)}")
    return ok(_describe(standings, kept) or "none yet")


def _describe(standings: Mapping[str, Standing], kept: int) -> str:
    """Say of groups how far behind they are, and what they have lost."""
    return "; ".join(
        f"{name} has {_number(one.unread)} unread of the {kept:,} outcomes kept"
        + ("" if one.gone == 0 else f", and has lost {_number(one.gone)}")
        for name, one in standings.items()
    )


def _number(count: int | None) -> str:
    return "an unknown number" if count is None else f"{count:,}"


def dead_letters(server: RedisServer) -> Finding:
    """Check whether there is something for a person to look at."""
    kind = server.letters.type(DEAD_LETTERS)
    if kind not in ("stream", "none"):
        return failure(
            f"{DEAD_LETTERS} is a {kind}, not a stream: no dead letter can be kept",
            f"look at it, then rename it (redis-cli RENAME {DEAD_LETTERS} {DEAD_LETTERS}.old)",
        )
    if count := server.letters.xlen(DEAD_LETTERS):
        return warning(f"{count:,} dead letters", "look at them: settle dead list")
    return ok("none")


CHECKS = (publishing, replicas, stream, room, consumer_groups, dead_letters)
