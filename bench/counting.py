"""What RabbitMQ gives a consumer that only counts: what the broker itself can do."""

from __future__ import annotations

import time
from typing import Any

import psutil
from kombu.connection import Connection

from bench.accounting import listens
from bench.errors import BenchError
from settle_client.names import QUEUE
from worker.transport.rabbitmq.frames import AROUND_BYTES, START

TAG = "None1"
# Acknowledged together, as a batch is, and a quarter of what is fetched ahead.
BATCH = 1_000
BODY = 3
PATIENCE_SECONDS = 60


def count_deliveries(url: str, messages: int) -> tuple[float, float | None]:
    """Consume the update queue, which holds so many messages, and read no more than frames.

    Returns:
        Messages a second, and microseconds of RabbitMQ's for each if it is on this machine.

    Raises:
        BenchError: They do not come.
    """
    connect: Any = Connection
    broker = [psutil.Process(pid) for pid in listens(url)]
    with connect(url) as connection:
        channel = connection.default_channel
        channel.basic_qos(0, 4 * BATCH, False)
        channel.basic_consume(QUEUE, consumer_tag=TAG)
        before, began = _seconds(broker), time.perf_counter()
        _count(channel, connection.connection.transport, messages)
        seconds, used = time.perf_counter() - began, _seconds(broker) - before
    return messages / seconds, used / messages * 1e6 if broker else None


def _seconds(processes: list[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def _count(channel: Any, transport: Any, messages: int) -> None:
    data, bodies, acknowledged = bytes(transport._read_buffer), 0, 0  # noqa: SLF001
    transport.sock.settimeout(PATIENCE_SECONDS)
    while bodies < messages:
        at = 0
        while len(data) - at >= AROUND_BYTES:
            kind, _, size = START.unpack_from(data, at)
            if len(data) - at < AROUND_BYTES + size:
                break
            bodies += kind == BODY
            at += AROUND_BYTES + size
        data = data[at:]
        if bodies - acknowledged >= BATCH or bodies == messages:
            acknowledged = bodies
            channel.basic_ack(bodies, multiple=True)
        if bodies < messages:
            data += _receive(transport.sock, messages - bodies)


def _receive(socket: Any, missing: int) -> bytes:
    try:
        received: bytes = socket.recv(2**20)
    except TimeoutError:
        received = b""
    if not received:
        raise BenchError(f"RabbitMQ has not delivered {missing:,} messages")
    return received
