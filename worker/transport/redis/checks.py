"""The update queue in a Redis broker: what waits in it, and the worker's rights to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import redis

from service.finding import Finding, failure, ok, warning
from service.pages import REDIS_USERS
from service.redis_checks import judge_replicas
from settle_client.names import QUEUE
from worker.transport.redis.keyspace import UNACKED, UNACKED_INDEX, WORKED_ON

if TYPE_CHECKING:
    from collections.abc import Sequence

    from service.reaching import RedisServer

# One of each kind of command that the transport, Celery's remote control and its task
# events give, on the keys and channels that they give them on.
KEYLESS_COMMANDS = (("EVAL", "return 0", 0), ("EVALSHA", "0" * 40, 0), ("TIME",))
COMMANDS: Sequence[tuple[Any, ...]] = (
    ("BRPOP", f"{UNACKED}.pause", 1),
    ("RPOP", QUEUE),
    ("RPUSH", f"{QUEUE}.retry", ""),
    ("EXISTS", f"{QUEUE}.retry"),
    ("LLEN", QUEUE),
    ("LINDEX", QUEUE, -1),
    ("LRANGE", QUEUE, 0, 0),
    ("LTRIM", QUEUE, 0, -1),
    ("ZADD", f"{QUEUE}.delayed", 0, ""),
    ("ZREM", f"{QUEUE}.delayed", ""),
    ("ZCARD", f"{QUEUE}.delayed"),
    ("ZRANGEBYSCORE", f"{QUEUE}.delayed", 0, 0),
    ("HSET", UNACKED, "", ""),
    ("HGET", UNACKED, ""),
    ("HDEL", UNACKED, ""),
    ("HLEN", UNACKED),
    ("ZADD", UNACKED_INDEX, 0, ""),
    ("ZREM", UNACKED_INDEX, ""),
    ("ZSCORE", UNACKED_INDEX, ""),
    ("ZCARD", UNACKED_INDEX),
    ("ZREVRANGEBYSCORE", UNACKED_INDEX, 0, 0),
    ("ZADD", WORKED_ON, 0, ""),
    ("ZREM", WORKED_ON, ""),
    ("ZRANGEBYSCORE", WORKED_ON, 0, 0),
    ("ZRANGEBYSCORE", "unacked_index", 0, 0),
    ("SADD", f"_kombu.binding.{QUEUE}", ""),
    ("SMEMBERS", "_kombu.binding.reply.celery.pidbox"),
    ("SREM", "_kombu.binding.celery.pidbox", ""),
    ("LPUSH", "doctor.reply.celery.pidbox", ""),
    ("DEL", "doctor.celery.pidbox"),
)
# What kombu appends to the name of a queue for each of its priorities.
PRIORITIES = ("", "\x06\x163", "\x06\x166", "\x06\x169")
# Messages that wait for their time, by when that is.
DELAYED = f"{QUEUE}.delayed"
CHANNELS = (("PSUBSCRIBE", ".celery.pidbox"), ("PUBLISH", ".celeryev/worker.online", ""))


def rights(server: RedisServer) -> Finding:
    """Check that the worker's user may do what the transport does."""
    database = server.client.connection_pool.connection_kwargs.get("db", 0)
    channels = [(verb, f"/{database}{name}", *rest) for verb, name, *rest in CHANNELS]
    queue = server.key(QUEUE)
    commands = [(verb, server.key(name), *rest) for verb, name, *rest in (*COMMANDS, *channels)]
    commands.append(("BLMOVE", queue, queue, "RIGHT", "RIGHT", 1))
    try:
        return judge_rights(
            server.denied([*KEYLESS_COMMANDS, *commands, *waiting_commands(server)])
        )
    except redis.exceptions.NoPermissionError:
        # Without a transaction there is no asking about the others.
        return judge_rights(["MULTI"])


def waiting_commands(server: RedisServer) -> Sequence[Sequence[Any]]:
    """Return what who writes there has to be allowed to wait for replicas."""
    return (("WAIT", 0, 1),) if server.min_replicas else ()


def judge_rights(denied: list[str]) -> Finding:
    """Judge which commands a user may not give."""
    if denied:
        return failure(
            f"this user may not: {', '.join(denied)}",
            f"give it the rights in {REDIS_USERS} (ACL SETUSER)",
        )
    return ok("this user may do what workers do")


def backlog(server: RedisServer) -> Finding:
    """Check how much waits, and whether a message is suspected of killing workers."""
    client, key = server.client, server.key
    waiting = sum(client.llen(key(QUEUE + priority)) for priority in PRIORITIES)
    held, suspects = client.hlen(key(UNACKED)), client.llen(key(f"{QUEUE}.retry"))
    found = f"{waiting:,} messages waiting, {held:,} held by workers"
    if delayed := client.zcard(key(DELAYED)):
        found += f", {delayed:,} delayed"
    if suspects:
        return warning(
            f"{found}, {suspects:,} fetched one by one, because workers died with them",
            "look at the workers' exits (out of memory?); they are set aside after five",
        )
    return ok(found)


def replicas(server: RedisServer) -> Finding:
    """Check that there are the replicas that messages wait for."""
    return judge_replicas(
        server, "messages", "nothing counts as sent", "SETTLE_BROKER_MIN_REPLICAS"
    )


CHECKS = (rights, replicas, backlog)
