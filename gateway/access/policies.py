"""Which rates a request is held to: of its key, and of the accounts of its updates.

Requests are what a key costs the gateway, whatever they are about. Updates, and events that are
created, are what it costs the database, and a request may carry a thousand: so they have rates of
their own, of a key and of an account, whichever keys they come with. What names no account of
its key's counts against all of them, or leaving the name out would be a way around the limit.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from gateway.access.buckets import Claim
from gateway.access.terms import ACCOUNT_UPDATES, KEY_REQUESTS, KEY_UPDATES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.access.keys import Keys


class Caller(NamedTuple):
    """Who asks.

    Attributes:
        name: Of the key, empty where there are none.
        accounts: Whose events there are for them, None for all.
        requests_per_second: How many they may make, None for any number.
        updates_per_second: How many those may carry, None for any number.
    """

    name: str
    accounts: frozenset[str] | None
    requests_per_second: int | None
    updates_per_second: int | None


class Due(NamedTuple):
    """What a request takes, by a policy.

    Attributes:
        policy: Its name.
        account: Whose limit it is, None where it is the key's.
        claim: What is taken.
    """

    policy: str
    account: str | None
    claim: Claim


class Policies:
    """Those in force."""

    def __init__(self, keys: Keys | None, updates_per_second: int | None) -> None:
        """Take the keys, and how many updates a second an account may have; None for any number."""
        self._keys, self._updates_per_second = keys, updates_per_second

    def of_request(self, caller: Caller) -> list[Due]:
        """Return what every request takes."""
        if caller.requests_per_second is None:
            return []
        return [
            Due(KEY_REQUESTS, None, _claim(KEY_REQUESTS, caller.requests_per_second, caller.name))
        ]

    def of_updates(self, caller: Caller, accounts: Iterable[str | None]) -> list[Due]:
        """Return what the updates of a request take.

        Args:
            caller: Who asks.
            accounts: The account that each update names, None where it names none.
        """
        if caller.updates_per_second is None and not self._limits_accounts:
            return []
        named = Counter(accounts)
        due = list(self._of_accounts(caller, named)) if self._limits_accounts else []
        if caller.updates_per_second is not None:
            rate, amount = caller.updates_per_second, named.total()
            due.append(Due(KEY_UPDATES, None, _claim(KEY_UPDATES, rate, caller.name, amount)))
        return due

    @property
    def _limits_accounts(self) -> bool:
        return self._updates_per_second is not None or bool(self._keys and self._keys.of_accounts)

    def _of_accounts(self, caller: Caller, named: Counter[str | None]) -> Iterable[Due]:
        own = caller.accounts
        # What is of nobody, or of others, is looked for all the same.
        unnamed = sum(
            count for name, count in named.items() if name is None or (own and name not in own)
        )
        for account in sorted(own or filter(None, named)):
            rate = self._rate_of(account)
            amount = named[account] + (unnamed if own else 0)
            if rate is not None and amount:
                claim = _claim(ACCOUNT_UPDATES, rate, account, amount)
                yield Due(ACCOUNT_UPDATES, account, claim)

    def _rate_of(self, account: str) -> int | None:
        of_file = self._keys.of_accounts.get(account) if self._keys else None
        return self._updates_per_second if of_file is None else of_file


def _claim(policy: str, rate: int, whose: str, amount: int = 1) -> Claim:
    # With its rate: who is given another has nothing to pay back at that.
    return Claim(f"{policy}:{rate}:{whose}", rate, amount)
