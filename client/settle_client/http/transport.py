"""httpx, for both faces: its clients, what goes wrong in them, and what they answer.

Imported when a client is made, and by nobody else: httpx takes longer than all the rest of
this package together, and is asked for by the extra `http`. Decides nothing.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from settle_client.errors import AddressError, SettleError
from settle_client.http.exchange import EVENT_STREAM, Answer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from settle_client.http.exchange import Request

CONNECT_SECONDS = 5.0
# No socket can wait for ever, or for a century.
MOST_SECONDS = 86_400.0
# Each listener has one.
MAX_CONNECTIONS, MAX_IDLE = 1_000, 20
VISIBLE = re.compile(r"[\x21-\x7e]+")


def open_http(url: str, api_key: str | None, options: dict[str, Any], *, asynchronous: bool) -> Any:
    """Make a client of httpx; it connects when it is first used.

    Raises:
        AddressError: httpx is not installed, or the URL, the key or an option cannot be meant.
    """
    httpx = _httpx()
    if api_key is not None and not VISIBLE.fullmatch(api_key):
        raise AddressError("the API key must be visible ASCII characters, and is not")
    try:
        address = httpx.URL(url)
    except (httpx.InvalidURL, TypeError):
        raise AddressError("the URL cannot be understood") from None
    if address.scheme not in ("http", "https") or not address.host or address.userinfo:
        raise AddressError("the URL must be http://host or https://host, with no user in it")
    if address.query or address.fragment or "%20" in address.host:
        raise AddressError("the URL must have nothing behind its path, and no space in its host")
    kind = httpx.AsyncClient if asynchronous else httpx.Client
    limits = httpx.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_IDLE)
    try:
        headers = httpx.Headers(options.get("headers"))
        if api_key is not None:
            headers["Authorization"] = f"Bearer {api_key}"
        # A redirect would be followed with the key, and what settles become what only asks.
        own = {"base_url": address, "headers": headers, "follow_redirects": False}
        return kind(**{"limits": limits, **options, **own})
    except (TypeError, ImportError) as error:
        raise AddressError(f"httpx does not take an option: {error}") from None
    except (ValueError, OSError, httpx.InvalidURL) as error:
        raise AddressError(
            "httpx does not take the value of an option, or of HTTP_PROXY, HTTPS_PROXY, "
            f"ALL_PROXY, SSL_CERT_FILE or SSL_CERT_DIR in the environment: {type(error).__name__}"
        ) from None


def _httpx() -> Any:
    try:
        # With it, what an answer may ask for: see `settle_client.producer` on forks.
        import email.utils  # noqa: F401, PLC0415

        import httpx  # noqa: PLC0415 - see the module
    except ImportError:
        raise AddressError("HTTP needs httpx: pip install settle-client[http]") from None
    return httpx


@contextmanager
def translated(client: Any) -> Iterator[None]:
    """Raise what may pass as an OSError, and anything else as it is meant."""
    httpx = _httpx()
    try:
        yield
    except Exception as error:
        if client.is_closed:
            raise SettleError("the client is closed") from error
        if isinstance(error, httpx.LocalProtocolError | httpx.UnsupportedProtocol | UnicodeError):
            raise SettleError(f"this cannot be sent: {error}") from error
        if isinstance(error, httpx.TransportError | httpx.StreamError | httpx.DecodingError):
            said = f"{type(error).__name__}: {error}".removesuffix(": ")
            raise ConnectionError(said) from error
        raise


def made(client: Any, request: Request, seconds: float) -> Any:
    """Make httpx's form of a request.

    Args:
        client: Of either kind.
        request: What is asked.
        seconds: For how long the server may be silent.
    """
    timeout = _httpx().Timeout(min(seconds, MOST_SECONDS), connect=min(seconds, CONNECT_SECONDS))
    return client.build_request(
        request.method,
        request.path,
        headers=dict(request.headers),
        content=request.body,
        timeout=timeout,
    )


def be_patient(request: Any, seconds: float) -> None:
    """Let the server be silent for another time from here on."""
    request.extensions["timeout"]["read"] = min(seconds, MOST_SECONDS)


def answer_of(response: Any, body: bytes) -> Answer:
    """Return what has come as an answer."""
    return Answer(response.status_code, dict(response.headers), body)


def is_stream(response: Any) -> bool:
    """Return whether events are to come."""
    head = answer_of(response, b"")
    return head.status == 200 and head.content_type == EVENT_STREAM  # noqa: PLR2004 - HTTP's
