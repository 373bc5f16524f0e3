"""Paths, with a slash behind them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from gateway.requests.paths import TrailingSlash

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send


@pytest.mark.parametrize(
    ("path", "raw", "meant"),
    [
        ("/v2/api/events/batch/", b"/v2/api/events/batch/", "/v2/api/events/batch"),
        ("/v2/api/events/a/", b"/v2/api/events/a/", "/v2/api/events/a"),
        ("/v2/api/events/a/", b"/v2/api/events/a%2F", "/v2/api/events/a/"),
        ("/v2/api/events/a//", b"/v2/api/events/a%2F/", "/v2/api/events/a/"),
        ("/healthz", b"/healthz", "/healthz"),
        ("/", b"/", "/"),
    ],
)
def test_a_slash_that_was_sent_as_one_is_left_out(path: str, raw: bytes, meant: str) -> None:
    """One that is a part of an id is not."""
    seen: list[Any] = []

    async def application(scope: Scope, _receive: Receive, _send: Send) -> None:
        seen.append(scope["path"])

    scope = {"type": "http", "path": path, "raw_path": raw}
    nothing: Any = None
    asyncio.run(TrailingSlash(application)(scope, nothing, nothing))
    assert seen == [meant]
    assert scope["path"] == path
