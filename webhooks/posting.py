"""One request to an endpoint, and what came of it: whatever it does, that is an answer in time.

No redirect is followed, no proxy of the environment is used, and of an answer no more
is read than who sent it: httpcore does none of that by itself.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import httpcore

from webhooks.destinations import AddressRefusedError, GuardedNetwork
from webhooks.judging import Answer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractAsyncContextManager

    from webhooks.destinations import Guard

# Of an answer, so that its connection can be used again; longer ones lose theirs.
DRAINED_BYTES, DRAINING_SECONDS = 64 * 2**10, 1.0
# How long a connection waits for the next request.
IDLE_SECONDS = 30.0
WORDS = (
    (ssl.SSLError, "its certificate or its TLS is not valid"),
    (httpcore.TimeoutException, "no answer in time"),
    (httpcore.ConnectError, "no connection"),
    (httpcore.NetworkError, "the connection was lost"),
    (httpcore.ProtocolError, "what it answered is no HTTP"),
)


class Poster:
    """The connections to all endpoints."""

    def __init__(self, guard: Guard, *, connections: int, timeout_seconds: float) -> None:
        """Connect to nobody yet.

        Args:
            guard: Decides who may be connected to.
            connections: How many there may be at once.
            timeout_seconds: For a request as a whole.
        """
        self._timeout_seconds = timeout_seconds
        context = ssl.create_default_context()
        self._pools = {
            scheme: httpcore.AsyncConnectionPool(
                ssl_context=context,
                # As many as wait for an answer, and some to use again.
                max_connections=2 * connections,
                max_keepalive_connections=connections,
                keepalive_expiry=IDLE_SECONDS,
                network_backend=GuardedNetwork(guard, is_encrypted=scheme == "https"),
            )
            for scheme in ("https", "http")
        }

    async def post(self, url: str, headers: Mapping[str, str], text: str) -> Answer:
        """Send a request; nothing is raised."""
        answer = None
        try:
            async with (
                asyncio.timeout(self._timeout_seconds),
                self._stream(url, headers, text) as response,
            ):
                answer = _answer_of(response)
                await _drain(response)
                return answer
        except TimeoutError:
            # What it has answered stays said though the rest did not come in time.
            return answer or Answer(None, "no answer in time")
        except AddressRefusedError as error:
            return Answer(None, f"its address may not be connected to: {error}")
        except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
            return Answer(None, _words(error))
        except (OSError, httpcore.UnsupportedProtocol) as error:
            return Answer(None, f"no connection: {getattr(error, 'strerror', None) or error}")

    def _stream(
        self, url: str, headers: Mapping[str, str], text: str
    ) -> AbstractAsyncContextManager[httpcore.Response]:
        target = httpcore.URL(url)
        pool = self._pools[target.scheme.decode()]
        return pool.stream(
            "POST",
            target,
            headers=list(headers.items()),
            content=text.encode(),
            extensions={"timeout": {"connect": self._timeout_seconds}},
        )

    async def close(self) -> None:
        """Close the connections."""
        for pool in self._pools.values():
            await pool.aclose()


def _answer_of(response: httpcore.Response) -> Answer:
    status = response.status
    for name, value in response.headers:
        if name.lower() == b"retry-after":
            pause_seconds = retry_after_seconds(value.decode("latin-1"), time.time())
            return Answer(status, retry_after_seconds=pause_seconds)
    return Answer(status)


async def _drain(response: httpcore.Response) -> None:
    """Read what else there is, if it is little; the answer is known."""
    left = DRAINED_BYTES
    with suppress(TimeoutError, httpcore.NetworkError, httpcore.ProtocolError):
        async with asyncio.timeout(DRAINING_SECONDS):
            async for chunk in response.aiter_stream():
                left -= len(chunk)
                if left < 0:
                    return


def _words(error: Exception) -> str:
    """Say what went wrong, the innermost cause of which there is a word."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    found = cause or error
    words = next(words for kind, words in WORDS if isinstance(found, kind))
    return f"{words}: {found}" if str(found) else words


def retry_after_seconds(text: str, now: float) -> float | None:
    """Read the header Retry-After, None if it says nothing that can be read.

    Args:
        text: Seconds, or a date.
        now: In seconds of the epoch.
    """
    text = text.strip()
    if text.isdecimal():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, OverflowError):
        return None
