"""What a client would rather have, in whatever form its header is."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from gateway.requests.preferences import prefers_async


@pytest.mark.parametrize(
    ("given", "is_preferred"),
    [
        pytest.param(["respond-async"], True, id="alone"),
        pytest.param(["wait=10", 'foo="a, b"; c , Respond-Async; x=1'], True, id="among others"),
        pytest.param(['foo="respond-async, respond-async"'], False, id="in quotes"),
        pytest.param([r'foo="\", respond-async, "'], False, id="in quotes with quotes"),
        pytest.param(['foo="bar, respond-async'], False, id="in quotes that do not end"),
        pytest.param(['respond-async, "\\'], True, id="before quotes that do not end"),
        pytest.param([","], False, id="nothing"),
        pytest.param(["not-respond-async, respond-async2"], False, id="others"),
    ],
)
def test_a_preference_is_found(given: list[str], is_preferred: bool) -> None:
    """As RFC 7240 has it; what is within quotes is none."""
    headers = [(b"prefer", one.encode()) for one in given]
    assert prefers_async(Request({"type": "http", "headers": headers})) is is_preferred


def test_a_long_header_holds_up_nobody() -> None:
    """As long as a head may be, of quotes that do not end; read twice it takes minutes."""
    header = b'"' + b'\\"' * 100_000 + b", respond-async"
    assert not prefers_async(Request({"type": "http", "headers": [(b"prefer", header)]}))
