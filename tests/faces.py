"""The client's two faces behind one, so that the same tests run over both.

What is asyncio's runs in an event loop of its own, in a thread, and is waited for:
coroutines, asynchronous iterators and `async with` look like their sync likes.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from typing import TYPE_CHECKING, Any

import pytest

from settle_client import (
    AsyncHttpClient,
    AsyncOutcomeClient,
    AsyncProducer,
    AsyncShardedProducer,
    HttpClient,
    OutcomeClient,
    Producer,
    ShardedProducer,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator


class SyncFace:
    """The face that blocks, as it is."""

    def producer(self, url: str, **options: Any) -> Any:
        """Make a producer."""
        return Producer(url, **options)

    def sharded_producer(self, urls: list[str], **options: Any) -> Any:
        """Make a producer for several brokers."""
        return ShardedProducer(urls, **options)

    def outcome_client(self, url: str, **options: Any) -> Any:
        """Make a client of the result channel."""
        return OutcomeClient(url, **options)

    def http_client(self, url: str, **options: Any) -> Any:
        """Make a client of a gateway."""
        return HttpClient(url, **options)

    def close(self) -> None:
        """There is nothing to close."""


class AsyncFace:
    """The face of asyncio, made to block."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def producer(self, url: str, **options: Any) -> Any:
        """Make a producer."""
        return Blocking(AsyncProducer(url, **options), self.run)

    def sharded_producer(self, urls: list[str], **options: Any) -> Any:
        """Make a producer for several brokers."""
        return Blocking(AsyncShardedProducer(urls, **options), self.run)

    def outcome_client(self, url: str, **options: Any) -> Any:
        """Make a client of the result channel."""
        return Blocking(AsyncOutcomeClient(url, **options), self.run)

    def http_client(self, url: str, **options: Any) -> Any:
        """Make a client of a gateway."""
        return Blocking(AsyncHttpClient(url, **options), self.run)

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine to its end."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def close(self) -> None:
        """End the loop, and with it what was left to it."""
        self.run(self.loop.shutdown_asyncgens())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


@pytest.fixture(params=[SyncFace, AsyncFace], ids=["sync", "asyncio"])
def face(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Give each face of the client; a module takes it as a fixture of its own."""
    face = request.param()
    yield face
    face.close()


class Blocking:
    """Something of asyncio's, waited for."""

    def __init__(self, inner: Any, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        self._inner, self._run = inner, run

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._inner, name)
        if not callable(attribute):
            return attribute
        return lambda *args, **options: self._blocking(attribute(*args, **options))

    def _blocking(self, result: Any) -> Any:
        if inspect.iscoroutine(result):
            return self._run(result)
        if hasattr(result, "__anext__") or hasattr(result, "__aenter__"):
            return Blocking(result, self._run)
        return result

    def __enter__(self) -> Any:
        entered = self._run(self._inner.__aenter__())
        return self if entered is self._inner else self._blocking(entered)

    def __exit__(self, *raised: object) -> None:
        self._run(self._inner.__aexit__(*raised))

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            return self._run(_next(self._inner))
        except StopAsyncIteration:
            raise StopIteration from None

    def close(self) -> None:
        """Close it, whatever that is called."""
        close = getattr(self._inner, "aclose", None) or self._inner.close
        self._run(close())


async def _next(iterator: Any) -> Any:
    return await anext(iterator)
