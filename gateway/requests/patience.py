"""Answers in time: none is waited for for longer than a server may take, or the process lives."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from starlette.exceptions import HTTPException

from db import TransientDatabaseError
from gateway import terms
from gateway.requests.fairness import Turns
from gateway.requests.retrying import insist

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

Result = TypeVar("Result")

# Questions asked at once besides what is settled, each on a connection.
QUESTIONS = 8


class Patience:
    """How long this process waits for an answer, and the threads that wait for it."""

    def __init__(self, seconds: float, questions: int = QUESTIONS) -> None:
        """Begin with nothing asked.

        Args:
            seconds: After which an answer is not waited for any more.
            questions: How many are asked at once.
        """
        self._seconds = seconds
        self._threads = ThreadPoolExecutor(questions, thread_name_prefix="look")
        self._turns = Turns(questions)

    async def wait_for(self, work: Awaitable[Result]) -> Result:
        """Wait for something.

        Raises:
            TransientDatabaseError: It takes too long.
            HTTPException: The process stops.
        """
        try:
            with until_stopped():
                async with asyncio.timeout(self._seconds):
                    return await work
        except TimeoutError as error:
            waited = f"no answer within {self._seconds:g} s"
            raise TransientDatabaseError(waited) from error

    async def ask(self, ask: Callable[[], Result], accounts: frozenset[str] | None) -> Result:
        """Ask the database something in a thread, and wait for the answer.

        Args:
            ask: Asks it.
            accounts: Whose turn that takes, None for who may see all.
        """
        return await self.wait_for(self._ask(ask, accounts))

    async def _ask(self, ask: Callable[[], Result], accounts: frozenset[str] | None) -> Result:
        async with self._turns.of(accounts):
            return await asyncio.get_running_loop().run_in_executor(self._threads, insist, ask)

    def close(self) -> None:
        """Ask nothing more, and wait for what was asked."""
        self._threads.shutdown(cancel_futures=True)


@contextmanager
def until_stopped() -> Iterator[None]:
    """Answer while that is possible: the process stops, and has waited for as long as it may."""
    try:
        yield
    except asyncio.CancelledError as error:
        raise HTTPException(503, terms.STOPPING, terms.RETRY_SOON) from error
