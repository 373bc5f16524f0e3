"""Which form a client would rather have, by what its request says."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from gateway.requests.acceptance import prefers

STREAM, JSON = "text/event-stream", "application/json"


@pytest.mark.parametrize(
    ("accept", "is_stream"),
    [
        ([], False),
        (["*/*"], False),
        (["text/*"], False),
        (["text/event-streams"], False),
        (['application/json;x="a, text/event-stream"'], False),
        (["text/event-stream"], True),
        (["Text/Event-Stream; charset=utf-8"], True),
        (["application/json", "text/event-stream"], True),
        (["application/json, text/event-stream"], True),
        (["application/json, text/event-stream;q=0"], False),
        (["text/event-stream;q=0.1, application/json"], False),
        (["text/event-stream; Q=0.5, */*"], False),
        (["text/event-stream, */*;q=0.1"], True),
        (["application/json;q=0.2, */*, text/event-stream;q=0.3"], True),
        (["application/*, text/event-stream;q=0.3"], False),
        (["text/event-stream;q=much"], True),
    ],
    ids=str,
)
def test_a_form_is_chosen_by_its_name_and_weight(accept: list[str], is_stream: bool) -> None:
    """Wherever and however it stands; of two of one weight the one that is named on purpose."""
    headers = [(b"accept", one.encode()) for one in accept]
    request = Request({"type": "http", "headers": headers})
    assert prefers(request, STREAM, JSON) == is_stream


def test_a_long_header_holds_up_nobody() -> None:
    """As long as a head may be, of quotes that do not end; read twice it takes minutes."""
    header = b'"' + b'\\"' * 100_000 + b", text/event-stream"
    assert not prefers(Request({"type": "http", "headers": [(b"accept", header)]}), STREAM, JSON)
