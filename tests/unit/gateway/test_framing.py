"""Where what a client sends is cut before it is parsed."""

from __future__ import annotations

import httptools
import pytest

from gateway.serving.framing import Framing

HEAD = b"PATCH /x HTTP/1.1\r\nHost: a\r\n"
CHUNKS = b"10000\r\n" + b"\n0\r\n" * 16_384 + b"\r\n3\r\na\n0\r\n0;x=y\r\nField: b\r\n\r\n"
REQUESTS = {
    "no body": HEAD + b"\r\n",
    "a body": HEAD + b"Content-Length: 9\r\n\r\n\r\n\r\n0\r\n\r\n",
    "chunks": HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS,
}


class Parsed:
    """A parser of some requests, which notes how long each one's head was."""

    def __init__(self) -> None:
        self.framing, self.headers = Framing(), list[tuple[bytes, bytes]]()
        self.heads = list[int]()
        self.parser = httptools.HttpRequestParser(self)

    def feed(self, data: bytes) -> None:
        """Parse some bytes."""
        for piece in self.framing.pieces(data):
            self.parser.feed_data(piece)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field."""
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Note how long the head was."""
        self.heads.append(self.framing.head_bytes)
        self.framing.end_head(self.headers)
        self.headers = []

    def on_chunk_header(self) -> None:
        """Begin with a chunk."""
        self.framing.begin_chunk()

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body."""
        self.framing.take_body(len(body))

    def on_message_complete(self) -> None:
        """Begin with the next request."""
        self.framing.begin_head()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1_000, 10**6])
@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
def test_a_head_is_counted_to_the_byte(request_: bytes, size: int) -> None:
    """Whatever is in front of it, and however it comes in pieces."""
    parsed = Parsed()
    sent = request_ * 3 + REQUESTS["no body"]
    for start in range(0, len(sent), size):
        parsed.feed(sent[start : start + size])
    expected = request_.index(b"\r\n\r\n") + 4
    assert parsed.heads == [expected] * 3 + [len(REQUESTS["no body"])]


def test_a_large_body_comes_in_one_piece() -> None:
    """It costs no more to parse than it did."""
    framing = Framing()
    framing.end_head([(b"content-length", b"1000")])
    assert list(framing.pieces(b"\n" * 900)) == [b"\n" * 900]
