"""Deliveries of RabbitMQ cut out of what arrives, and everything else left to py-amqp."""

from __future__ import annotations

import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from amqp import spec
from amqp.exceptions import UnexpectedFrame
from amqp.method_framing import frame_handler
from amqp.transport import SSLTransport, TCPTransport
from hypothesis import given
from hypothesis import strategies as st

from tests.amqp_frames import FRAME_MAX, HEARTBEAT, deliver, method
from worker.transport.rabbitmq.frames import Cutter, acknowledgements
from worker.transport.rabbitmq.reading import READ_BYTES, Reading

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from worker.transport.rabbitmq.pushed import Pushed

TAG = "None1"
LARGE = b"x" * (FRAME_MAX - 8)


class Peer:
    """Stands in for a connection of py-amqp's, whose server sends some bytes."""

    frame_max, bytes_recv, connected = FRAME_MAX, 0, True

    def __init__(self, chunks: Sequence[bytes]) -> None:
        self.chunks = list(chunks)
        # Deliveries that were offered and taken, or came by way of py-amqp; and other methods.
        self.taken: list[int] = []
        self.given: list[int] = []
        self.accounted: list[int] = []
        self.soon: list[Any] = []
        self.seen: list[Any] = []
        self.callbacks: dict[str, Any] = {TAG: None}
        self.channel_id: int | None = 1
        self.transport = self.connection = self
        self._read_buffer = b""
        self.on_inbound_frame = frame_handler(self, self._on_method)
        self.most = 10**9

    @contextmanager
    def having_timeout(self, _: float | None) -> Iterator[Any]:
        """Give a socket."""
        yield self

    def recv_into(self, buffer: memoryview) -> int:
        """Receive some bytes."""
        if not self.chunks:
            raise TimeoutError
        chunk = self.chunks.pop(0)
        buffer[: len(chunk)] = chunk
        return len(chunk)

    def _on_method(self, channel: int, signature: Any, arguments: bytes, content: Any) -> None:
        body = content.body if content is not None else None
        self.seen.append((channel, signature, body or b""))

    def _on_basic_deliver(self, to: str, tag: int, *way: Any) -> None:
        assert to == TAG
        *_, message = way
        self.given.append(tag)
        self.seen.append(("given", tag, message.body))

    def account(self, pushed: Sequence[Pushed]) -> None:
        """Note what has arrived."""
        self.accounted += [one.tag for one in pushed]

    def offer(self, pushed: Sequence[Pushed]) -> int:
        """Take as many as are wanted."""
        some = pushed[: self.most]
        self.taken += [one.tag for one in some]
        self.seen += [("taken", one.tag, one.body) for one in some]
        return len(some)

    def read_all(self) -> Reading:
        """Read until nothing more arrives."""
        peer: Any = self
        reading = Reading(peer, self.account, self.offer, self.soon.append)
        reading.install()
        with suppress(TimeoutError):
            while True:
                peer.blocking_read(0)
        return reading


def test_what_arrived_together_is_offered_together() -> None:
    """As it was sent, whoever it came from; and py-amqp sees nothing of it."""
    data = b"".join(deliver(b"body %d" % tag, tag=tag, priority=3) for tag in range(1, 101))
    peer: Any = Peer([data])
    offered: list[Pushed] = []

    def offer(pushed: Sequence[Pushed]) -> int:
        offered.extend(pushed)
        return len(pushed)

    reading = Reading(peer, peer.account, offer, peer.soon.append)
    reading.install()
    assert reading.read_once(0)
    assert [(one.tag, one.body) for one in offered] == [
        (tag, b"body %d" % tag) for tag in range(1, 101)
    ]
    assert peer.seen == []
    # So that a heartbeat is not missed.
    assert peer.bytes_recv == 300


PARTS = {
    "ours": deliver(b"ours", tag=7),
    "ours, of a full frame": deliver(LARGE, tag=7),
    "ours, of two frames": deliver(LARGE + b"y", tag=7),
    "ours, without a body": deliver(b"", tag=7),
    "nobody's any more": deliver(b"gone", consumer_tag="None0"),
    "another channel's": deliver(b"other", channel=2),
    "a heartbeat": HEARTBEAT,
    "a method": method(spec.Basic.CancelOk, "s", (TAG,)),
}
TAKEN = ("ours", "ours, of a full frame")


@pytest.mark.parametrize("name", PARTS)
def test_what_is_not_one_of_ours_goes_by_way_of_py_amqp(name: str) -> None:
    """In its turn, whatever stands before and after it."""
    around = [deliver(b"first", tag=1), PARTS[name], deliver(b"last", tag=9)]
    peer = Peer([b"".join(around)])
    peer.read_all()
    expected = [1, 7, 9] if name in TAKEN else [1, 9]
    assert peer.taken == expected
    between = peer.seen[1:-1]
    assert len(between) == (name != "a heartbeat")


@given(
    names=st.lists(st.sampled_from([*PARTS, "ours", "ours"]), max_size=12),
    cuts=st.lists(st.integers(0, 400), max_size=20),
    most=st.integers(0, 3),
)
def test_however_it_arrives_everything_comes_once_and_in_order(
    names: list[str], cuts: list[int], most: int
) -> None:
    """Cut anywhere, and whatever of it is taken."""
    data = b"".join(PARTS[name] for name in names)
    chunks, at = [], 0
    for cut in cuts:
        chunks.append(data[at : at + cut])
        at += cut
    chunks += [data[i : i + READ_BYTES] for i in range(at, len(data), READ_BYTES)]
    peer = Peer([chunk for chunk in chunks if chunk])
    peer.most = most
    peer.read_all()
    whole = Peer([data[i : i + READ_BYTES] for i in range(0, len(data), READ_BYTES)])
    whole.most = 0
    whole.read_all()
    assert [what[-1] for what in peer.seen] == [what[-1] for what in whole.seen]
    assert len(peer.seen) == sum(name != "a heartbeat" for name in names)
    assert sorted(peer.accounted) == sorted(peer.taken + peer.given)


def test_what_py_amqp_had_read_already_is_not_lost() -> None:
    """It may have read beyond what it was asked for."""
    data = deliver(b"ours", tag=1) + deliver(b"ours", tag=2)
    peer = Peer([data[40:]])
    peer._read_buffer = data[:40]
    peer.read_all()
    assert peer.taken == [1, 2]


def test_a_consumer_that_was_replaced_is_read_on() -> None:
    """Another tag is cut out as well, once the channel knows it."""
    peer = Peer([deliver(b"a", tag=1), deliver(b"b", tag=2, consumer_tag="None2")])
    peer.callbacks["None2"] = None
    peer.read_all()
    assert peer.taken == [1, 2]


def test_what_is_left_is_read_soon_though_the_socket_is_silent() -> None:
    """It may have arrived while somebody waited for something else."""
    answer = method(spec.Basic.CancelOk, "s", (TAG,))
    peer: Any = Peer([answer + deliver(b"a", tag=1) + deliver(b"b", tag=2) + answer])
    Reading(peer, peer.account, peer.offer, peer.soon.append).install()
    patience: list[float | None] = []

    def drain_events(timeout: float | None) -> None:
        patience.append(timeout)
        peer.blocking_read(timeout)

    peer.drain_events = drain_events
    assert peer.blocking_read(None)
    assert (peer.taken, len(peer.soon)) == ([], 1)
    while peer.soon:
        peer.soon.pop()()
    assert (peer.taken, set(patience)) == ([1, 2], {0})
    assert len(peer.seen) == 4


def test_a_closed_channel_leaves_it_all_to_py_amqp() -> None:
    """Which has forgotten its number."""
    peer = Peer([deliver(b"a", tag=1)])
    peer.channel_id = None
    peer.read_all()
    assert (peer.taken, len(peer.seen)) == ([], 1)


def test_a_frame_that_does_not_end_is_an_error() -> None:
    """As it is for py-amqp: nothing after it can be read."""
    peer = Peer([HEARTBEAT[:-1] + b"\x00"])
    with pytest.raises(UnexpectedFrame):
        peer.read_all()
    broken = bytearray(deliver(b"ours"))
    broken[-1] = 0
    with pytest.raises(UnexpectedFrame):
        Peer([bytes(broken)]).read_all()


@pytest.mark.parametrize("how", ["closed", "reset"])
def test_a_lost_connection_is_told_as_py_amqp_does(how: str) -> None:
    """As an error of the operating system, and noted."""

    class Lost(Peer):
        def recv_into(self, buffer: memoryview) -> int:
            if how == "reset":
                raise ConnectionResetError
            return 0

    peer: Any = Lost([])
    reading = Reading(peer, peer.account, peer.offer, peer.soon.append)
    reading.install()
    with pytest.raises(OSError, match=r".*"):
        peer.blocking_read(None)
    assert not peer.connected


class OnSocket(Peer):
    """One that reads from a socket, by a transport of py-amqp's."""

    def __init__(self, kind: Any, sock: socket.socket) -> None:
        super().__init__([])
        self.transport: Any = kind.__new__(kind)
        self.transport.sock, self.transport.connected = sock, True
        self.transport._read_buffer = b""


def test_silence_for_a_while_is_no_loss() -> None:
    """Of a real socket, whatever its timeout."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        peer: Any = OnSocket(TCPTransport, ours)
        Reading(peer, peer.account, peer.offer, peer.soon.append).install()
        for timeout in (0, 0.01):
            with pytest.raises(TimeoutError):
                peer.blocking_read(timeout)
        assert peer.transport.connected
        theirs.sendall(deliver(b"ours", tag=3))
        assert peer.blocking_read(0)
        assert peer.taken == [3]


def test_a_record_of_tls_may_end_anywhere() -> None:
    """It is read on, until there is nothing more; and that is no loss."""
    authority, contexts = (
        trustme.CA(),
        [ssl.SSLContext(kind) for kind in (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT)],
    )
    authority.issue_cert("broker").configure_cert(contexts[0])
    authority.configure_trust(contexts[1])
    ours, theirs = socket.socketpair()
    data = b"".join(deliver(LARGE[:size], tag=size) for size in range(1, 40_000, 997))
    secured = ThreadPoolExecutor(1)
    with secured:
        server = secured.submit(contexts[0].wrap_socket, theirs, server_side=True)
        client = contexts[1].wrap_socket(ours, server_hostname="broker")
        sending = secured.submit(server.result().sendall, data)
        peer: Any = OnSocket(SSLTransport, client)
        Reading(peer, peer.account, peer.offer, peer.soon.append).install()
        while len(peer.taken) < 41:
            with suppress(TimeoutError):
                peer.blocking_read(0)
        sending.result()
        with pytest.raises(TimeoutError):
            peer.blocking_read(0)
        assert peer.transport.connected
    assert peer.taken == list(range(1, 40_000, 997))
    client.close()
    server.result().close()


def test_acknowledgements_are_what_py_amqp_writes() -> None:
    """Many of them, one after the other."""
    answers = [(7, True), (2**40, False)]
    expected = [method(spec.Basic.Ack, "Lb", answer, channel=3) for answer in answers]
    assert acknowledgements(3, answers) == b"".join(expected)


def test_bytes_of_others_are_never_cut() -> None:
    """Nor is what only begins like a delivery."""
    cutter = Cutter(1, b"None1")
    whole = deliver(b"ours")
    assert cutter.cut(whole)[1] == len(whole)
    for at in range(len(whole)):
        assert cutter.cut(whole[:at]) == ([], 0)
    assert cutter.cut(whole[:1] + b"\x00\x02" + whole[3:]) == ([], 0)
