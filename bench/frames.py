"""What reading a message of RabbitMQ costs: `python -m bench.frames [amqp://…]`.

In memory, one step after the other: its frames as py-amqp reads them, as they are cut out of
the bytes, its headers, and all that is understood of it. With the URL of a RabbitMQ whose update
queue may be deleted also what RabbitMQ gives a consumer that only counts.
"""

from __future__ import annotations

import json
import sys
import uuid
from timeit import repeat
from typing import TYPE_CHECKING, Any

from amqp import serialization, spec
from amqp.basic_message import Message
from amqp.method_framing import frame_handler, frame_writer

from bench.counting import TAG, count_deliveries
from bench.event_ids import event_id
from bench.filling import fill_quorum_queue
from settle_client.envelope import HEADERS
from settle_client.names import QUEUE
from worker.transport.rabbitmq.frames import AROUND_BYTES, START, Cutter
from worker.understanding.plain import read_plain

if TYPE_CHECKING:
    from collections.abc import Callable

MESSAGES, CONSUMED = 1_000, 60_000
DELIVERED = "sLbss"


class _Written:
    """Stands in for a connection and its transport: keeps what is written."""

    frame_max, bytes_sent, bytes_recv = 131_072, 0, 0

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: Any) -> None:
        """Keep it."""
        self.data += bytes(data)


def delivery(number: int) -> bytes:
    """Write the frames of a delivery, as of a stock client's message."""
    id_ = str(uuid.uuid4())
    update = {"id": event_id(number), "status": "completed"}
    headers: dict[str, Any] = {
        **HEADERS,
        "id": id_,
        "root_id": id_,
        "argsrepr": "()",
        "kwargsrepr": repr(update),
        "origin": "gen1@host",
    }
    content = Message(
        json.dumps([[], update, {}]),
        application_headers=headers,
        content_type="application/json",
        content_encoding="utf-8",
        delivery_mode=2,
        priority=0,
        correlation_id=id_,
    )
    written: Any = _Written()
    way = serialization.dumps(DELIVERED, (TAG, number + 1, False, "", QUEUE))
    frame_writer(written, written)(1, 1, spec.Basic.Deliver, way, content)
    data: bytes = written.data
    return data


def read_by_py_amqp(data: bytes) -> None:
    """Read frames as py-amqp does, which have arrived already."""
    connection: Any = _Written()
    on_frame = frame_handler(
        connection, lambda _, __, arguments, ___: serialization.loads(DELIVERED, arguments, 4)
    )
    at = 0
    while at < len(data):
        kind, channel, size = START.unpack_from(data, at)
        on_frame((kind, channel, data[at + START.size : at + START.size + size]))
        at += AROUND_BYTES + size


def main() -> None:
    """Print it."""
    data = b"".join(map(delivery, range(MESSAGES)))
    cutter = Cutter(1, TAG.encode())
    pushed, _ = cutter.cut(data)
    steps: dict[str, Callable[[], Any]] = {
        f"py-amqp, {'Cython' if serialization.__file__.endswith('.so') else 'Python'}": (
            lambda: read_by_py_amqp(data)
        ),
        "cut out": lambda: cutter.cut(data),
        "headers": lambda: [one.read(shown=False) for one in pushed],
        "understood, headers included": lambda: [read_plain(one, max_updates=1) for one in pushed],
    }
    for name, step in steps.items():
        each = sorted(seconds / MESSAGES * 1e6 for seconds in repeat(step, number=1, repeat=9))
        figures = f"{each[4]:.1f} µs a message, median of 9 ({each[0]:.1f} to {each[-1]:.1f})"
        print(f"{name:30} {figures}")  # noqa: T201 - what it is for
    for url in sys.argv[1:]:
        fill_quorum_queue(url, CONSUMED)
        rate, used = count_deliveries(url, CONSUMED)
        broker = "" if used is None else f", RabbitMQ {used:.1f} µs"
        print(f"{'a consumer that only counts':30} {rate:,.0f}/s{broker}")  # noqa: T201


if __name__ == "__main__":
    main()
