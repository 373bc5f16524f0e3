"""What happens to nodes of a RabbitMQ cluster: each of these strikes, and mends it.

Each returns in how many seconds outcomes came again, from when it struck: while there is
a majority they are to come before the nodes are back.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import psutil

from tests.faults.strikes import CHANCE
from tests.rabbitmq import NET_TICK_SECONDS
from tests.rabbitmq_cluster import NODES, Cluster

if TYPE_CHECKING:
    from tests.faults.rig import Rig
    from tests.rabbitmq import RabbitMQ


# What was on its way by then still comes.
ON_ITS_WAY_SECONDS = 0.3


def kill_the_leader(rig: Rig) -> float:
    """Kill the node where the leader of the queue is."""
    return _kill(rig, cluster_of(rig).leader)


def kill_a_follower(rig: Rig) -> float:
    """Kill a node that only has a replica."""
    cluster = cluster_of(rig)
    leader = cluster.leader
    return _kill(rig, CHANCE.choice([node for node in cluster.nodes if node is not leader]))


def kill_the_workers_node(rig: Rig) -> float:
    """Kill the node that a worker is connected to."""
    nodes = {node.port: node for node in cluster_of(rig).nodes}
    connections = psutil.Process(rig.workers[0].process.pid).net_connections("tcp")
    ports = [connection.raddr[1] for connection in connections if connection.raddr]
    return _kill(rig, next(nodes[port] for port in ports if port in nodes))


def kill_two(rig: Rig) -> float:
    """Kill two nodes: nothing is taken and nothing delivered before one of them is back."""
    struck = time.time()
    two = CHANCE.sample(cluster_of(rig).nodes, 2)
    for node in two:
        node.stop(immediate=True)
    time.sleep(CHANCE.uniform(0.5, 3))
    _start(rig, *two)
    return _seconds_until_outcomes(rig, struck)


def freeze_a_node(rig: Rig) -> float:
    """Let a node say nothing for longer than the others wait for it."""
    process = psutil.Process(CHANCE.choice(cluster_of(rig).nodes).pid or 0)
    struck = time.time()
    process.suspend()
    time.sleep(2 * NET_TICK_SECONDS)
    process.resume()
    return _seconds_until_outcomes(rig, struck)


def restart_one_by_one(rig: Rig) -> float:
    """Restart each node in order, when the one before it is back."""
    longest = 0.0
    for node in cluster_of(rig).nodes:
        struck = time.time()
        node.stop()
        longest = max(longest, _seconds_until_outcomes(rig, struck))
        _start(rig, node)
    return longest


def cluster_of(rig: Rig) -> Cluster:
    """Return the cluster that is the broker."""
    cluster = rig.service.rabbitmq
    assert isinstance(cluster, Cluster)
    return cluster


def _kill(rig: Rig, node: RabbitMQ) -> float:
    struck = time.time()
    node.stop(immediate=True)
    seconds = _seconds_until_outcomes(rig, struck)
    _start(rig, node)
    return seconds


def _start(rig: Rig, *nodes: RabbitMQ) -> None:
    for node in nodes:
        node.start()
    cluster_of(rig).control("await_online_nodes", str(NODES))


def _seconds_until_outcomes(rig: Rig, struck: float) -> float:
    rig.recover(max(struck + ON_ITS_WAY_SECONDS, time.time()))
    return time.time() - struck
