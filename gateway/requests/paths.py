"""A path with a slash behind it is taken as the path without.

Only a slash that was sent as one: an event's id may end with a slash, which is sent as `%2F`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send


class TrailingSlash:
    """An ASGI application around another."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, at the path that is meant."""
        raw = scope.get("raw_path") or b""
        if scope["type"] == "http" and len(raw) > 1 and raw.endswith(b"/"):
            scope = {**scope, "path": scope["path"].removesuffix("/"), "raw_path": raw[:-1]}
        await self._app(scope, receive, send)
