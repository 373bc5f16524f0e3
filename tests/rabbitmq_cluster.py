"""Three nodes of RabbitMQ that are one cluster, each on a port of its own."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from settle_client.names import QUEUE
from tests.rabbitmq import RabbitMQ

if TYPE_CHECKING:
    from pathlib import Path

NODES = 3


class Cluster:
    """Three nodes; quorum queues have a replica on each."""

    def __init__(self, folder: Path, *, managed: bool = False) -> None:
        """Prepare them.

        Args:
            folder: Where they write.
            managed: Whether they have the management plugin.

        Raises:
            ServerUnavailable: RabbitMQ is not installed here.
        """
        first = RabbitMQ(folder / "0", managed=managed)
        numbers = range(1, NODES)
        others = [RabbitMQ(folder / str(n), joins=first, managed=managed) for n in numbers]
        self.nodes = [first, *others]
        self._stack = ExitStack()

    @property
    def url(self) -> str:
        """Return where clients connect: whichever of the nodes is there."""
        return ";".join(node.url for node in self.nodes)

    @property
    def leader(self) -> RabbitMQ:
        """Return the node where the leader of the update queue is."""
        lines = self.control("list_queues", "name", "leader", "--no-table-headers").splitlines()
        (name,) = (line.split()[1] for line in lines if line.split()[0] == QUEUE)
        return next(node for node in self.nodes if node.name == name)

    def control(self, *command: str) -> str:
        """Run `rabbitmqctl` on a node that runs."""
        return self._running.control(*command)

    def waiting_or_held(self) -> int:
        """Return how many messages the queues have, delivered or not."""
        return self._running.waiting_or_held()

    @property
    def _running(self) -> RabbitMQ:
        return next(node for node in self.nodes if node.pid is not None)

    def let_go_of_orphans(self) -> bool:
        """Let the queues have back what is delivered and no channel has; return whether all is so.

        After an election a queue may take no acknowledgement of what it had delivered before, until
        its consumer's connection ends: https://github.com/rabbitmq/rabbitmq-server/issues/15473.
        """
        node = self._running
        if node.total("list_queues", "messages_ready"):
            return False
        if node.total("list_channels", "messages_unacknowledged"):
            return False
        self.control("close_all_connections", "it has what the queue keeps for it no more")
        return True

    def start(self) -> Self:
        """Start all nodes that do not run."""
        for node in self.nodes:
            if node.pid is None:
                node.start()
        return self

    def stop(self, *, immediate: bool = False) -> None:
        """Stop all nodes, in order or as in a crash."""
        for node in self.nodes:
            node.stop(immediate=immediate)

    def __enter__(self) -> Self:
        for node in self.nodes:
            self._stack.enter_context(node)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
