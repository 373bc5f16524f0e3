"""Each script of ours on a Redis Cluster: it touches the keys that it was given, and no others."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from redis.exceptions import NoPermissionError

from settle_client.redis_server import open_client
from tests.redis_cluster import Cluster, redis_cluster
from tests.started import started

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDERS = (Path("gateway/access"), Path("tasks"), Path("worker/transport/redis/scripts"))
SCRIPTS = {path.stem: path for folder in FOLDERS for path in folder.glob("*.lua")}
TAIL = ',"","q"]'
ENTRY = f"[item{TAIL}"
SHA = hashlib.sha1(ENTRY.encode(), usedforsecurity=False).hexdigest()
# A user who may touch the keys that a script is given, and no others.
USER, PASSWORD = "script", "hush"


class Call(NamedTuple):
    """What a script is given: keys, arguments, and what is there before."""

    keys: tuple[str, ...]
    args: tuple[Any, ...]
    before: tuple[tuple[Any, ...], ...] = ()


HELD = (
    ("HSET", "{q}unacked", "tag-1", ENTRY),
    ("ZADD", "{q}index", 1, "tag-1"),
    ("ZADD", "{q}worked_on", 1, "tag-1:1"),
)
STREAM = (("XADD", "{q}stream", "1-1", "raw", "x"), ("XADD", "{q}stream", "2-1", "raw", "x"))
GROUP = ("XGROUP", "CREATE", "{q}stream", "g", "0")
BOOKS = ("{q}unacked", "{q}index")
CALLS = {
    "bind": Call(("{q}table", "{q}permanent"), ("member",)),
    "bind_for_a_while": Call(("{q}table", "{q}until"), ("member", "exchange", 1_000)),
    "count_entries": Call(("{q}stream",), ("-", "+", 10), STREAM),
    "delay": Call((*BOOKS, "{q}delayed"), (TAIL, "tag-1", 60, "{q}list"), HELD),
    "describe_letters": Call(("{q}stream",), ("+", "-", 10, 1_000), STREAM),
    "due": Call(
        ("{q}delayed", "{q}list", "{q}retry"),
        (10,),
        (("ZADD", "{q}delayed", 1, "t\0{q}retry\0item", 2, "t\0{q}other\0item"),),
    ),
    "expired": Call((*BOOKS, "{q}worked_on"), (1, 10), HELD),
    "fetch": Call(
        (*BOOKS, "{q}retry", "{q}list"),
        (10, "tag-", 0, 1, TAIL, TAIL),
        (("RPUSH", "{q}list", "b", "a"),),
    ),
    "former": Call(BOOKS, (1, "-inf", 10, TAIL), HELD),
    "keep_dead_letter": Call(("{q}stream",), ("1", "raw", "x")),
    "look_up": Call(BOOKS, ("tag-1", "tag-2"), HELD),
    "make_room": Call(("{q}stream",), (1, 1, 10, "g"), (*STREAM, GROUP)),
    "move": Call((*BOOKS, "{q}list"), ("tag-1", "1", SHA, "item", 1, 1), HELD),
    "note": Call(("{q}worked_on",), (1, "tag-1:1", "tag-2:3"), HELD),
    "publish_outcomes": Call(("{q}stream",), ("1", 10, "outcome")),
    "renew": Call(("{q}index",), ("tag-1",), HELD),
    "replace_letter": Call(("{q}stream",), ("1-1", 2, "raw", "y"), STREAM),
    "take_from_buckets": Call(("{q}one", "{q}other"), (5, 1, 1_000, 10)),
    "try_adding": Call(("{q}stream",), ("1",)),
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Give three shards."""
    with started(redis_cluster) as cluster:
        yield cluster


def test_every_script_is_tried() -> None:
    """One that is added is added here too."""
    assert SCRIPTS.keys() == CALLS.keys()


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_a_script_touches_its_keys_alone(cluster: Cluster, name: str) -> None:
    """Run by a user who may touch no other key, whatever it comes upon."""
    keys, args, before = CALLS[name]
    node = cluster.owner("{q}")
    node.ask("FLUSHALL")
    for command in before:
        node.ask(*command)
    rights = ("resetkeys", *(f"~{key}" for key in keys), "allchannels", "+@all")
    for each in cluster.nodes:
        each.ask("ACL", "SETUSER", USER, "reset", "on", f">{PASSWORD}", *rights)
    url = cluster.url.replace("://", f"://{USER}:{PASSWORD}@", 1)
    with open_client(url, asynchronous=False, key="{q}") as client:
        client.eval(SCRIPTS[name].read_text("utf-8"), len(keys), *keys, *args)
        with pytest.raises(NoPermissionError):
            client.get("{q}another")
