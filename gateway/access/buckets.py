"""What is left of a rate: a bucket that holds a second's worth, and fills up steadily.

A request takes from a bucket while at least one unit is in it, also more than is in it: then the
bucket owes, and is empty until that has flowed in. So a request of any size is served in the
end, and over time nobody has more than the rate. Here are the buckets of one process; those
that gateways share are in `gateway.access.shared_buckets`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

# A unit, but for what is lost in rounding; the script of the shared ones has it too.
A_UNIT = 0.999
# Beyond which those that are full are forgotten.
MANY = 10_000


class Claim(NamedTuple):
    """What a request takes from a bucket.

    Attributes:
        bucket: Which.
        per_second: How many units flow into it, which is also what it holds.
        amount: How many are taken.
    """

    bucket: str
    per_second: int
    amount: int


class Taken(NamedTuple):
    """What came of it.

    Attributes:
        is_taken: Whether all was taken; otherwise nothing was.
        missing_seconds: For each bucket, in how many seconds it is full again.
    """

    is_taken: bool
    missing_seconds: list[float]


class Buckets:
    """The buckets of one process, full at first."""

    def __init__(self) -> None:
        self._full_at: dict[str, float] = {}
        self._many = MANY

    def take(self, claims: Sequence[Claim], now: float) -> Taken:
        """Take from all buckets, or from none if one is empty.

        Args:
            claims: No bucket twice.
            now: In seconds, of any monotonic clock.
        """
        missing = [max(self._full_at.get(claim.bucket, 0) - now, 0) for claim in claims]
        if any(
            seconds * claim.per_second > claim.per_second - A_UNIT
            for claim, seconds in zip(claims, missing, strict=True)
        ):
            return Taken(is_taken=False, missing_seconds=missing)
        missing = [
            seconds + claim.amount / claim.per_second
            for claim, seconds in zip(claims, missing, strict=True)
        ]
        self._forget(now)
        for claim, seconds in zip(claims, missing, strict=True):
            self._full_at[claim.bucket] = now + seconds
        return Taken(is_taken=True, missing_seconds=missing)

    def _forget(self, now: float) -> None:
        if len(self._full_at) > self._many:
            self._full_at = {name: at for name, at in self._full_at.items() if at > now}
            # Those that owe stay: to look through them is not for each request.
            self._many = max(MANY, 2 * len(self._full_at))


def left_in(claim: Claim, missing_seconds: float) -> int:
    """Return how many whole units are in a bucket, 0 if it owes."""
    return max(int(claim.per_second * (1 - missing_seconds) + 1 - A_UNIT), 0)


def empty_seconds(claim: Claim, missing_seconds: float) -> float:
    """Return for how many seconds a bucket has nothing to give, 0 if it has."""
    return max(missing_seconds - 1 + 1 / claim.per_second, 0.0)
