"""Reads a connection: plain deliveries in one pass, everything else by way of py-amqp.

It takes the place of py-amqp's reading of one frame, on one connection. What has arrived
is read at once; the deliveries that stand first are cut out of it and offered together, and
what is not taken, or is something else, is given to py-amqp frame by frame, in order. So
connection, channels, heartbeats, flow and close are py-amqp's own.
"""

from __future__ import annotations

import errno
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from amqp.exceptions import UnexpectedFrame

from worker.transport.rabbitmq.frames import (
    AROUND_BYTES,
    FRAME_END,
    START,
    Cutter,
    consumer_tag_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from worker.transport.rabbitmq.pushed import Pushed

# What one read takes, about a thousand messages.
READ_BYTES = 2**20
FRAMES_OF_A_DELIVERY = 3


class Reading:
    """The reading of one connection, of which one channel consumes."""

    def __init__(
        self,
        channel: Any,
        account: Callable[[Sequence[Pushed]], None],
        offer: Callable[[Sequence[Pushed]], int],
        call_soon: Callable[[Callable[[], None]], None],
    ) -> None:
        """Read nothing yet.

        Args:
            channel: py-amqp's.
            account: Is given deliveries as they arrive, before any of them is offered.
            offer: Is given deliveries in order, and returns how many of the first it has taken.
            call_soon: Calls a function in the consumer's thread, in its next turn.
        """
        self._channel, self._connection = channel, channel.connection
        self._account, self._offer = account, offer
        self._call_soon, self._goes_on = call_soon, False
        self._buffer = memoryview(bytearray(READ_BYTES))
        # What has arrived, and where in it the next frame begins.
        self._data, self._at = b"", 0
        # What was cut out of it and neither taken nor delivered, and to whom it goes.
        self._pushed: list[Pushed] = []
        self._consumer_tag = ""
        self._cutter: Cutter | None = None

    def install(self) -> None:
        """Read in place of py-amqp from now on."""
        transport = self._connection.transport
        self._data, transport._read_buffer = bytes(transport._read_buffer), b""  # noqa: SLF001
        self._connection.blocking_read = self.read_once

    @property
    def more_arrived(self) -> bool:
        """Return whether more has arrived than was looked at."""
        return self._at < len(self._data)

    def read_once(self, timeout: float | None = None) -> bool:
        """Do what is next to be done, as py-amqp's `blocking_read`.

        Args:
            timeout: In seconds, how long something may take to arrive.

        Returns:
            Whether anything was done that somebody may have waited for.

        Raises:
            TimeoutError: Nothing has arrived.
            OSError: The connection is lost.
        """
        try:
            while not self._pushed:
                self._cut_out()
                if self._pushed:
                    break
                if self._frame_is_whole():
                    return self._hand_over_frame()
                self._receive(timeout)
            self._deliver()
            return True
        finally:
            self._go_on_soon()

    def _go_on_soon(self) -> None:
        """See to it that what has arrived is read, though the socket says nothing of it."""
        if not self._goes_on and (self._pushed or self._frame_is_whole()):
            self._goes_on = True
            self._call_soon(self._go_on)

    def _go_on(self) -> None:
        self._goes_on = False
        if self._connection.connected and (self._pushed or self._frame_is_whole()):
            with suppress(TimeoutError):
                self._connection.drain_events(timeout=0)

    def _cut_out(self) -> None:
        channel = self._channel.channel_id
        name = consumer_tag_of(self._data, self._at, channel) if channel else b""
        if not name or name.decode() not in self._channel.callbacks:
            # Nobody's, any more: py-amqp gives it back.
            self._cutter = None
            return
        if self._cutter is None or self._cutter.consumer_tag != name.decode():
            self._cutter = Cutter(channel, name)
        self._consumer_tag = self._cutter.consumer_tag
        self._pushed, self._at = self._cutter.cut(self._data, self._at)
        self._connection.bytes_recv += FRAMES_OF_A_DELIVERY * len(self._pushed)
        self._account(self._pushed)

    def _deliver(self) -> None:
        del self._pushed[: self._offer(self._pushed)]
        if self._pushed:
            one = self._pushed.pop(0)
            self._channel._on_basic_deliver(  # noqa: SLF001 - what py-amqp does with one it has read
                self._consumer_tag, one.tag, *one.way, one.content()
            )

    def _frame_is_whole(self) -> bool:
        data, at = self._data, self._at
        if self._cutter is not None and self._cutter.awaits(data, at, self._connection.frame_max):
            return False
        if len(data) < at + AROUND_BYTES:
            return False
        _, _, size = START.unpack_from(data, at)
        return len(data) >= at + AROUND_BYTES + size

    def _hand_over_frame(self) -> bool:
        data, at = self._data, self._at
        kind, channel, size = START.unpack_from(data, at)
        payload = data[at + START.size : at + START.size + size]
        self._at = at + AROUND_BYTES + size
        if data[self._at - 1] != FRAME_END:
            raise UnexpectedFrame(f"frame ends in {data[self._at - 1]:#04x}")
        return bool(self._connection.on_inbound_frame((kind, channel, payload)))

    def _receive(self, timeout: float | None) -> None:
        transport = self._connection.transport
        try:
            with transport.having_timeout(timeout) as sock:
                count = sock.recv_into(self._buffer)
        except TimeoutError:
            raise
        except OSError as error:
            if timeout is None and error.errno in (errno.EAGAIN, errno.EINTR):
                return
            transport.connected = False
            raise
        if not count:
            transport.connected = False
            raise OSError("Server unexpectedly closed connection")
        self._data, self._at = self._data[self._at :] + self._buffer[:count], 0
