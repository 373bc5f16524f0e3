"""A Redis or Valkey server: whether it keeps what it is given.

Most of it is in INFO, which managed services allow where they forbid CONFIG.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import redis

from service.clock import judge_clock
from service.finding import Finding, failure, ok, unknown, warning
from tasks.memory_limit import most_in_use

if TYPE_CHECKING:
    from service.reaching import RedisServer

WHERE = "in redis.conf or the provider's settings; at once with CONFIG SET"
OLDEST_VERSION = (6, 2)
CLUSTER_SLOTS = 16_384
# Of maxmemory, what may be used before there is a warning.
MEMORY_MARGIN = 0.8
# What an outcome takes in the stream, as docs/configuration.md says.
BYTES_PER_OUTCOME = 400


def server(redis_server: RedisServer) -> Finding:
    """Check the version, and that it is a primary, by itself or of the cluster that is named."""
    info = redis_server.info
    name = "Valkey" if info.get("server_name") == "valkey" else "Redis"
    version = str(info.get("valkey_version") or info["redis_version"])
    found = f"{name} {version}"
    if tuple(map(int, version.split(".")[:2])) < OLDEST_VERSION:
        return failure(f"{found} lacks commands that workers need", "upgrade to Redis 6.2 or newer")
    if redis_server.is_cluster:
        return _cluster(redis_server, found)
    if info.get("cluster_enabled"):
        return failure(
            f"{found} is a node of a Redis Cluster, and addressed as if it were all of it",
            "name the cluster, redis+cluster://; a result backend has to be elsewhere, for Celery "
            "knows no cluster",
        )
    if info.get("role") == "slave":
        return failure(f"{found} is a replica and takes no writes", "name the primary in the URL")
    return ok(found)


def _cluster(redis_server: RedisServer, found: str) -> Finding:
    """Judge the cluster of a node, as it sees it."""
    # By two words, so that redis-py gives the answer as it is.
    ranges = redis_server.client.execute_command("CLUSTER", "SLOTS")
    covered = sum(last - first + 1 for first, last, *_ in ranges)
    replicas = {tuple(nodes[0][:2]): len(nodes) - 1 for _, _, *nodes in ranges}
    found = f"{found}, a Redis Cluster of {len(replicas)} primaries"
    if covered < CLUSTER_SLOTS:
        return failure(
            f"{found}: nobody holds {CLUSTER_SLOTS - covered:,} of {CLUSTER_SLOTS:,} slots",
            "bring their primary back, or promote its replica (CLUSTER FAILOVER TAKEOVER)",
        )
    if bare := sum(not count for count in replicas.values()):
        return warning(
            f"{found}, {bare} of them without a replica: while one is away nothing is taken",
            "give each primary a replica",
        )
    return ok(f"{found}, each with a replica")


def persistence(redis_server: RedisServer) -> Finding:
    """Check that a restart loses nothing that was accepted."""
    info = redis_server.info
    if not info["aof_enabled"]:
        return failure(
            "no append-only file: a restart loses messages and outcomes",
            f"appendonly yes, {WHERE}",
        )
    if info.get("aof_last_write_status", "ok") != "ok":
        return failure("the append-only file cannot be written", "see the server's log and disk")
    try:
        sync = redis_server.client.config_get("appendfsync").get("appendfsync")
    except redis.ResponseError:
        return unknown(
            "append-only file; how often it is synced is hidden (no CONFIG GET)",
            "ask whoever runs it: appendfsync everysec or always",
        )
    if sync == "no":
        return warning(
            "append-only file, never synced: a power loss costs about 30 seconds",
            "appendfsync everysec, or always",
        )
    cost = "" if sync == "always" else "; a power loss costs up to a second"
    return ok(f"append-only file, appendfsync {sync}{cost}")


def eviction(redis_server: RedisServer) -> Finding:
    """Check that nothing is thrown away when memory is short."""
    info = redis_server.info
    policy, limit = info["maxmemory_policy"], info["maxmemory"]
    if policy == "noeviction":
        return ok("maxmemory-policy noeviction")
    fix = f"maxmemory-policy noeviction, {WHERE}"
    if limit:
        return failure(f"maxmemory-policy {policy}: messages are thrown away at maxmemory", fix)
    return warning(f"maxmemory-policy {policy}, harmless only as long as maxmemory is 0", fix)


def memory(redis_server: RedisServer) -> Finding:
    """Check that there is memory left, for the outcomes that are to be kept too."""
    info = redis_server.info
    used, limit = info["used_memory"], info["maxmemory"]
    if not limit:
        return ok(f"{_mebibytes(used)} used, no maxmemory")
    found = f"{_mebibytes(used)} of {_mebibytes(limit)} used"
    if used >= most_in_use(limit):
        return failure(
            f"{found}: new messages are refused, and outcomes, so that nothing is settled",
            "raise maxmemory at once (CONFIG SET), or shorten the stream with `settle retention`",
        )
    if used >= limit:
        return failure(f"{found}: new messages are refused", "raise maxmemory, or drain the queue")
    if used >= limit * MEMORY_MARGIN:
        return warning(f"{found}", "raise maxmemory, or drain the queue")
    stream = redis_server.stream_max_length * BYTES_PER_OUTCOME
    if stream >= limit * MEMORY_MARGIN:
        return warning(
            f"{found}, but a full outcome stream takes about {_mebibytes(stream)}",
            "lower SETTLE_OUTCOME_STREAM_MAX_LENGTH or raise maxmemory",
        )
    return ok(found)


def clock(redis_server: RedisServer) -> Finding:
    """Compare the server's clock with this machine's."""
    asked = redis_server.clock()
    seconds, microseconds = redis_server.client.time()
    now = (asked + redis_server.clock()) / 2
    return judge_clock(seconds + microseconds / 1_000_000 - now)


def judge_replicas(redis_server: RedisServer, what: str, otherwise: str, variable: str) -> Finding:
    """Judge whether there are the replicas that something waits for.

    Args:
        redis_server: The primary.
        what: Waits for them.
        otherwise: What becomes of it while there are too few.
        variable: The setting that says how many.
    """
    wanted, there = redis_server.min_replicas, redis_server.info["connected_slaves"]
    if not wanted:
        return ok(f"not waited for: a failover may lose the latest {what}")
    if there < wanted:
        return failure(
            f"{there} of the {wanted} replicas that {what} wait for: {otherwise}",
            f"start more, or lower {variable}",
        )
    found = f"{there} replicas, and {what} wait for {wanted}"
    # INFO counts the good ones where it is set.
    if "min_slaves_good_slaves" not in redis_server.info:
        return warning(
            f"{found}; without min-replicas-to-write every try while there are none is kept",
            f"min-replicas-to-write {wanted}, {WHERE}",
        )
    return ok(found)


CHECKS = (server, persistence, eviction, memory, clock)


def _mebibytes(count: int) -> str:
    return f"{count / 2**20:,.0f} MiB"
