"""Who is next, and who is refused, where several want what there is not enough of.

A party is whoever may see the same accounts: a key's, as `gateway.access` knows them. However much
one asks for, another waits for a turn of it and not for all, and finds room for its part.
What a batch is applied with is shared by `gateway.events.sharing`.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection

    Accounts = frozenset[str] | None

# No key has no account.
NOBODY: Accounts = frozenset()


class Turns:
    """Turns at something that few may do at once: a party after the other, each in its order."""

    def __init__(self, at_once: int = 1) -> None:
        """Begin with nobody at it.

        Args:
            at_once: How many may be at it.
        """
        self._free = at_once
        self._waiting: dict[Accounts, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def of(self, accounts: Accounts) -> AsyncIterator[None]:
        """Wait for a turn, and have it.

        Args:
            accounts: Whose turn it is, None for who may see all.
        """
        if self._free:
            self._free -= 1
        else:
            await self._wait(accounts)
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, accounts: Accounts) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(accounts, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._leave(accounts, turn)
            else:
                # It came at the same moment.
                self._pass_on()
            raise

    def _leave(self, accounts: Accounts, turn: asyncio.Future[None]) -> None:
        self._waiting[accounts].remove(turn)
        if not self._waiting[accounts]:
            del self._waiting[accounts]

    def _pass_on(self) -> None:
        """Give a turn to the party that has waited for the longest since its last."""
        accounts = next(iter(self._waiting), NOBODY)
        if accounts is NOBODY:
            self._free += 1
            return
        turns = self._waiting.pop(accounts)
        turns.popleft().set_result(None)
        if turns:
            self._waiting[accounts] = turns


class SharedRoom:
    """Room for so much of something; of a party that has none of it nothing is kept."""

    def __init__(self, most: int) -> None:
        """Begin with all of it free.

        Args:
            most: See `is_too_much`.
        """
        self._most = most
        self._taken: Counter[Accounts] = Counter()

    def __len__(self) -> int:
        """Return how many parties have some."""
        return len(self._taken)

    def is_full_of(self, accounts: Accounts) -> bool:
        """Return whether there is no more of it for a party."""
        taken = {accounts: 0, **self._taken}
        return is_too_much(taken[accounts], taken.values(), self._most)

    def take(self, accounts: Accounts, amount: int) -> None:
        """Take some, whether there is any or not."""
        self._taken[accounts] += amount

    def give_back(self, accounts: Accounts, amount: int) -> None:
        """Give back what was taken."""
        self._taken[accounts] -= amount
        if not self._taken[accounts]:
            del self._taken[accounts]


def is_too_much(of_mine: int, of_all: Collection[int], most: int) -> bool:
    """Return whether there is no room for more of a party, which has its equal part or more.

    Args:
        of_mine: What it has of something.
        of_all: What every party has that wants some, itself among them.
        most: Beyond which there is room only for those who have less than their part.
    """
    return sum(of_all) >= most and of_mine * len(of_all) >= most
