"""Who may see the page: whoever has shown the key, or, without one, this machine alone.

Around the whole application, so that no path can be forgotten. A browser is not to be used
by other pages that it shows: what is asked for must come from the page itself. What the
browser keeps is derived from the key, and is of no use once that is another.
"""

from __future__ import annotations

import hmac
import logging
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from gateway.access.admission import is_from_here
from gateway.requests.problems import problem

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger(__name__)

PAGE, LOGIN, STYLE = "/", "/login", "/page.css"
# What somebody needs to show the key.
FOR_ALL = {("POST", LOGIN), ("GET", STYLE)}
MAX_FORM_BYTES = 4_096
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
NOT_LOCAL = "Host: without SETTLE_PAGE_KEY only requests to localhost are served"
NOT_OURS = "Origin: must be this page's; a proxy in front has to pass the Host header on"
NO_KEY = "the key has to be shown first: open the page"


class Admission:
    """An ASGI application around another."""

    def __init__(self, app: ASGIApp, key: str | None, login_page: str) -> None:
        """Let in whoever has a key.

        Args:
            app: What is shown to them.
            key: None where there is none.
            login_page: What others are shown, with `{says}` in it.
        """
        self._app, self._login_page = app, login_page
        self._key = None if key is None else key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        request = Request(scope, receive)
        # Who has gone before all was said is no failure.
        with suppress(ClientDisconnect):
            answer = self._refusal(request)
            if answer is None and _asks_for(request) == ("POST", LOGIN) and self._key is not None:
                answer = await self._log_in(request, self._key)
            await (answer or self._app)(scope, receive, send_safely)

    def _refusal(self, request: Request) -> Response | None:
        if self._key is None and not is_from_here(request):
            return problem(403, NOT_LOCAL)
        if not _is_from_the_page(request):
            return problem(403, NOT_OURS)
        is_known = self._key is None or self._knows(request, self._key)
        if is_known or _asks_for(request) in FOR_ALL:
            return None
        return self._ask() if _asks_for(request) == ("GET", PAGE) else problem(401, NO_KEY)

    def _knows(self, request: Request, key: bytes) -> bool:
        shown = request.cookies.get(cookie_name(key.decode()), "")
        return hmac.compare_digest(shown.encode(), _token(key).encode())

    def _ask(self, says: str = "") -> Response:
        return HTMLResponse(self._login_page.replace("{says}", says), 401)

    async def _log_in(self, request: Request, key: bytes) -> Response:
        form = b""
        async for piece in request.stream():
            form += piece
            if len(form) > MAX_FORM_BYTES:
                return problem(413, "the form is too large")
        (shown,) = parse_qs(form.decode("ascii", "replace")).get("key", [""])[:1]
        if not hmac.compare_digest(shown.encode(), key):
            logger.warning("wrong key", extra={"client": request.client and request.client.host})
            return self._ask("This is not the key.")
        answer = RedirectResponse(PAGE, 303)
        by_tls = request.headers["origin"].startswith("https:")
        name = cookie_name(key.decode())
        answer.set_cookie(name, _token(key), httponly=True, samesite="strict", secure=by_tls)
        return answer


def cookie_name(key: str) -> str:
    """Return what a key's cookie is called: one of its own, for ports have none of their own."""
    return f"settle_page_{hmac.digest(key.encode(), b'settle page, name', 'sha256').hex()[:8]}"


def _token(key: bytes) -> str:
    return hmac.digest(key, b"settle page", "sha256").hex()


def _asks_for(request: Request) -> tuple[str, str]:
    # As it came: the path of `url` depends on the Host header.
    return request.method, request.scope["path"]


def _is_from_the_page(request: Request) -> bool:
    """Return whether no other page lets a browser ask, as far as a browser says."""
    if request.method not in ("GET", "HEAD"):
        origin = urlsplit(request.headers.get("origin", "")).netloc
        return bool(origin) and origin == request.headers.get("host")
    asked_by = request.headers.get("sec-fetch-site", "none")
    return _asks_for(request) == ("GET", PAGE) or asked_by in ("same-origin", "none")
