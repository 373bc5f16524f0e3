"""A connection: uvicorn's, with a client that is too slow, or sends too much of a head, let go.

It speaks HTTP/1.1 alone. A client that offers to go on in another protocol is served
in this one, as HTTP has it; some do so with every request.

The only place that reaches into uvicorn. None of what it uses is promised, and
`tests/unit/gateway/test_pins.py` fails by the name when a release changes it:

- `HttpToolsProtocol`: made for each connection by a class that is handed in; its methods
  are overridden where a client begins, goes on or ends to keep it waiting.
- `parser`, `headers`, `url`: what has come of a request, to read it again in HTTP/1.1.
- `cycle`, `pipeline`, and of a cycle `more_body`, `response_started`, `response_complete`:
  who is owed an answer, when a client is let go; `keep_alive`: that it is the last.
- `_start_asgi_task`: which request is answered, for `cycle` is the last that has come.
- `disconnected`, `message_event` of a cycle: how its application learns that nobody waits.
- `_unset_keepalive_if_required`, `timeout_keep_alive`, `timeout_keep_alive_task`,
  `timeout_keep_alive_handler`: uvicorn's own timer of idle clients, set where it sets none.
- `send_400_response`, `transport`, `loop`: how it writes, and waits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway import terms
from gateway.requests.problems import problem
from gateway.serving.framing import Framing

if TYPE_CHECKING:
    import asyncio

    from uvicorn._types import ASGI3Application
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

RECEIVE_SECONDS = terms.RECEIVE_SECONDS
# As long a client may leave its answer unread once no more of it fits into the buffers.
SEND_SECONDS = 30.0


class Connection(HttpToolsProtocol):
    """A connection whose client has to be quick enough."""

    _framing: Framing
    _due: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None
    _served: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._framing = Framing()
        self._wait_for_request()

    def data_received(self, data: bytes) -> None:
        """Take what a client has sent."""
        self._unset_keepalive_if_required()
        for piece in self._framing.pieces(data):
            if self._framing.in_head and self._framing.head_bytes > terms.MAX_HEAD_BYTES:
                self._refuse(431, terms.TOO_LONG_HEAD)
            else:
                self._parse(piece)
            if self.transport.is_closing():
                break
        self._wait_for_next_request()

    def _parse(self, piece: bytes) -> None:
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade as upgrade:
            # A CONNECT is answered as any method that there is not.
            if self.parser.get_method() != b"CONNECT":
                (end_of_head,) = upgrade.args
                self._read_as_http_1(piece[end_of_head:])
        except httptools.HttpParserError:
            self.send_400_response(terms.NOT_HTTP)
        if self._framing.in_fields and self._framing.head_bytes > terms.MAX_HEAD_BYTES:
            self._refuse(431, terms.TOO_LONG_HEAD)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Return whether to keep a connection whose client sends no more, and is owed an answer."""
        cycle = self.cycle
        if cycle is None or cycle.more_body or cycle.response_complete:
            return False
        cycle.keep_alive = False
        return True

    def on_message_begin(self) -> None:
        """Wait for the rest of a request."""
        self._wait_for_request()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Serve a request, unless it has to be read again."""
        self._framing.end_head(self.headers)
        if not self._asks_for_another_protocol():
            super().on_headers_complete()
            # Fields that follow the body are not for those that the request has begun with.
            self.headers = []

    def on_chunk_header(self) -> None:
        """Take what follows for fields, as it may be after the last chunk."""
        self._framing.begin_chunk()

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._framing.take_body(len(body))
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Wait no more."""
        self._framing.begin_head()
        if self._asks_for_another_protocol():
            return
        self._stop_waiting()
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._stop_waiting()
        self.resume_writing()
        self._answer_no_more()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Wait for the client to read its answer."""
        super().pause_writing()
        self._unread = self.loop.call_later(SEND_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Wait no more for that."""
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
        super().resume_writing()

    def on_response_complete(self) -> None:
        """Serve the next request, or let the client go."""
        super().on_response_complete()
        self._abort_if_closing()

    def timeout_keep_alive_handler(self) -> None:
        """Let an idle client go."""
        super().timeout_keep_alive_handler()
        self._abort_if_closing()

    def send_400_response(self, msg: str) -> None:
        """Tell a client that it does not speak HTTP, in the form that every error has."""
        self._refuse(400, msg)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._served = cycle
        super()._start_asgi_task(cycle, app)

    def _asks_for_another_protocol(self) -> bool:
        return bool(self.parser.should_upgrade()) and self.parser.get_method() != b"CONNECT"

    def _read_as_http_1(self, rest: bytes) -> None:
        """Read a request again that would rather be HTTP/2: its parser leaves the body out."""
        version = self.parser.get_http_version().encode()
        lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, version)]
        lines += [b"%s: %s" % header for header in self.headers if header[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self._framing.begin_head()
        self.data_received(b"\r\n".join([*lines, b"", rest]))

    def _wait_for_next_request(self) -> None:
        """Let an idle client go, also one that has sent something since its answer."""
        is_idle = self.cycle is not None and self.cycle.response_complete and self._due is None
        if is_idle and self.timeout_keep_alive_task is None and not self.transport.is_closing():
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _wait_for_request(self) -> None:
        self._stop_waiting()
        self._due = self.loop.call_later(RECEIVE_SECONDS, self._give_up)

    def _stop_waiting(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _give_up(self) -> None:
        self._refuse(408, terms.TOO_SLOW)

    def _refuse(self, status: int, message: str) -> None:
        """Let a client go, and tell it why unless it would take that for another answer."""
        if not self._owes_another_answer():
            answer = problem(status, message, {"Connection": "close"})
            head = [b"HTTP/1.1 %d \r\n" % status]
            head += [b"%s: %s\r\n" % header for header in answer.raw_headers]
            self.transport.write(b"".join([*head, b"\r\n", bytes(answer.body)]))
        self.transport.close()
        self._answer_no_more()
        self._abort_if_closing()

    def _answer_no_more(self) -> None:
        """Let the answer that is under way go nowhere; uvicorn knows of the last request alone."""
        if self._served is not None:
            self._served.disconnected = True
            self._served.message_event.set()

    def _owes_another_answer(self) -> bool:
        """Return whether a request that came whole is not answered, or an answer has begun."""
        cycle = self.cycle
        if self.pipeline or cycle is None:
            return bool(self.pipeline)
        return bool(cycle.response_started if cycle.more_body else not cycle.response_complete)

    def _abort_if_closing(self) -> None:
        """Wait no longer for the client to read the rest."""
        if self.transport.is_closing():
            self.loop.call_later(SEND_SECONDS, self.transport.abort)
