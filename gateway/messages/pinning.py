"""Updates that go through the queue, bound to the accounts of the key that sends them. Pure.

A worker knows no keys. What it does know is the account that an update names: an event of
another is not found. So each names one that the key may see, or is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from tasks.errors import NotUnderstoodError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from settle_client.update import StatusUpdate


def pin(
    updates: Iterable[StatusUpdate], accounts: frozenset[str] | None
) -> tuple[StatusUpdate, ...]:
    """Return updates that can settle events of some accounts alone, None for all.

    Raises:
        NotUnderstoodError: One names no account of these; the text says which.
    """
    return tuple(updates) if accounts is None else tuple(_pinned(updates, accounts))


def _pinned(updates: Iterable[StatusUpdate], accounts: frozenset[str]) -> Iterator[StatusUpdate]:
    only = next(iter(accounts)) if len(accounts) == 1 else None
    for index, update in enumerate(updates):
        account = update.account_id or only
        if account is None:
            raise NotUnderstoodError(
                f"[{index}].accountId: is required with respond-async, for the API key has several"
            )
        if account not in accounts:
            raise NotUnderstoodError(
                f"[{index}].accountId: must be an account of the API key, with respond-async"
            )
        yield msgspec.structs.replace(update, account_id=account)
