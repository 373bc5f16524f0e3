"""A Redis Cluster of the tests' own: primaries that share the slots, and a replica of each."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from redis.connection import Connection
from redis.crc import key_slot

from cli.embedded import Redis, free_port
from settle_client.names import DEAD_LETTERS, OUTCOMES, QUEUE
from tests.service import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

SLOTS = 16_384
PRIMARIES = 3
# A port and this much more, where the nodes speak with each other.
NODE_TIMEOUT_MILLISECONDS = 2_000


class Node(Redis):
    """One node."""

    def __init__(self, directory: Path, options: Sequence[str] = ()) -> None:
        super().__init__(directory, append_only=True)
        self._bus_port, self._options = free_port(), options

    def command(self) -> list[str]:
        """Return the command line that runs the node in the foreground."""
        return [
            *super().command(),
            *("--cluster-enabled", "yes", "--cluster-port", str(self._bus_port)),
            *("--cluster-node-timeout", str(NODE_TIMEOUT_MILLISECONDS)),
            *("--repl-diskless-sync-delay", "0"),
            *self._options,
        ]

    def ask(self, *command: Any) -> Any:
        """Give the node a command, whatever slot it is about."""
        connection = Connection(port=self.port, decode_responses=True)
        try:
            connection.send_command(*command)
            return connection.read_response()
        finally:
            connection.disconnect()

    def facts(self, *command: Any) -> dict[str, str]:
        """Return what a command says line by line."""
        lines = str(self.ask(*command)).splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    @property
    def id(self) -> str:
        """Return what the other nodes call it."""
        return str(self.ask("CLUSTER", "MYID"))

    def named_ports(self) -> set[int]:
        """Return where it says that the primaries are."""
        return {primary[1] for _, _, primary, *_ in self.ask("CLUSTER", "SLOTS")}

    def meet(self, other: Node) -> None:
        """Join the cluster of another."""
        self.ask("CLUSTER", "MEET", "127.0.0.1", other.port, other._bus_port)


class Cluster:
    """Nodes that know each other."""

    def __init__(self, primaries: Sequence[Node], replicas: Sequence[Node]) -> None:
        self.primaries, self.replicas = primaries, replicas
        self.nodes = [*primaries, *replicas]

    @property
    def url(self) -> str:
        """Return where clients begin to look: at two nodes of all."""
        return ";".join(f"redis+cluster://127.0.0.1:{node.port}" for node in self.nodes[:2])

    def form(self) -> Self:
        """Let the nodes find together, and wait until they have."""
        for node in self.nodes[1:]:
            node.meet(self.nodes[0])
        share = SLOTS // len(self.primaries)
        for number, node in enumerate(self.primaries):
            last = SLOTS if node is self.primaries[-1] else share * (number + 1)
            node.ask("CLUSTER", "ADDSLOTSRANGE", share * number, last - 1)
        eventually(lambda: all(self._is_well(node) for node in self.nodes))
        for primary, replica in zip(self.primaries, self.replicas, strict=False):
            replica.ask("CLUSTER", "REPLICATE", primary.id)
        for replica in self.replicas:
            eventually(partial(_follows, replica))
        return self

    def owner(self, key: str) -> Node:
        """Return the node that holds the slot of a key, as whoever is alive says."""
        slot = key_slot(key.encode())
        for node in self.nodes:
            if node.pid is None:
                continue
            for first, last, primary, *_ in node.ask("CLUSTER", "SLOTS"):
                if first <= slot <= last:
                    return next(one for one in self.nodes if one.port == primary[1])
        raise LookupError(key)

    def begin_migration(self, key: str, beside: Sequence[Node] = ()) -> tuple[Node, Node]:
        """Let a slot be on its way from its owner to another primary, with all its keys behind."""
        slot, source = key_slot(key.encode()), self.owner(key)
        others = [node for node in self.primaries if node.pid and node not in (source, *beside)]
        target = others[0]
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id)
        return source, target

    def move_keys(self, key: str, source: Node, target: Node) -> int:
        """Move the keys that a slot has now; return how many."""
        slot = key_slot(key.encode())
        keys = source.ask("CLUSTER", "GETKEYSINSLOT", slot, 1_000)
        if keys:
            source.ask("MIGRATE", "127.0.0.1", target.port, "", 0, 10_000, "KEYS", *keys)
        return len(keys)

    def end_migration(self, key: str, source: Node, target: Node) -> None:
        """Move what keys are left, and let everybody know whose the slot is."""
        while self.move_keys(key, source, target):
            pass
        for node in (target, source, *self.primaries):
            if node.pid is not None:
                node.ask("CLUSTER", "SETSLOT", key_slot(key.encode()), "NODE", target.id)

    def migrate(self, key: str, beside: Sequence[Node] = ()) -> None:
        """Move the slot of a key to another primary, as `redis-cli --cluster reshard` does."""
        source, target = self.begin_migration(key, beside)
        self.end_migration(key, source, target)

    def replica_of(self, primary: Node) -> Node:
        """Return the replica of a primary, as they were formed."""
        return self.replicas[self.primaries.index(primary)]

    def spread(self) -> None:
        """Let the queue, the outcomes and the dead letters be on a node each."""
        for key, others in ((OUTCOMES, (QUEUE,)), (DEAD_LETTERS, (QUEUE, OUTCOMES))):
            if self.owner(key) in [self.owner(other) for other in others]:
                self.migrate(key, beside=[self.owner(other) for other in others])

    def empty(self) -> None:
        """Let there be nothing in it, and nothing on its way."""
        for node in self.primaries:
            for key in (OUTCOMES, DEAD_LETTERS, QUEUE):
                node.ask("CLUSTER", "SETSLOT", key_slot(key.encode()), "STABLE")
            node.ask("FLUSHALL")
            node.ask("SCRIPT", "FLUSH")

    def _is_well(self, node: Node) -> bool:
        facts = node.facts("CLUSTER", "INFO")
        knows = int(facts["cluster_known_nodes"])
        return facts["cluster_state"] == "ok" and knows == len(self.nodes)


def _follows(replica: Node) -> bool:
    return replica.facts("INFO", "replication").get("master_link_status") == "up"


@contextmanager
def redis_cluster(
    folder: Path, *, replicas: bool = False, options: Sequence[str] = ()
) -> Iterator[Cluster]:
    """Run three primaries, each with a replica if asked for.

    Raises:
        ServerUnavailable: A node cannot be started here.
    """
    with ExitStack() as stack:
        count = PRIMARIES * 2 if replicas else PRIMARIES
        nodes = [
            stack.enter_context(Node(folder / f"node{number}", options)) for number in range(count)
        ]
        yield Cluster(nodes[:PRIMARIES], nodes[PRIMARIES:]).form()
