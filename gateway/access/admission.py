"""Who is let in: by API key and within limits, or, without any keys, from this machine alone."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException

from gateway import metrics, terms
from gateway.access.fields import Limit, show
from gateway.access.policies import Caller
from gateway.access.terms import too_often

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from starlette.requests import Request

    from gateway.access.keys import Keys
    from gateway.access.policies import Due, Policies
    from gateway.access.shared_buckets import SharedBuckets

    # `Admission.charge`.
    Charge = Callable[[Request, Iterable[str | None]], Awaitable[None]]

SCHEME = "bearer"
# Where a request keeps who asks.
CALLER = "settle.caller"


class Admission:
    """Asks each request for its key, and holds it to its limits."""

    def __init__(
        self,
        keys: Keys | None,
        policies: Policies,
        buckets: SharedBuckets,
        requests_per_second: int | None = None,
    ) -> None:
        """Begin with no request made.

        Args:
            keys: None where there are none.
            policies: Which limits there are.
            buckets: What is left of them.
            requests_per_second: With each key that has no rate of its own, or of all without
                keys; None for any number.
        """
        self._keys, self._policies, self._buckets = keys, policies, buckets
        self._requests_per_second = requests_per_second

    async def admit(self, request: Request) -> frozenset[str] | None:
        """Let a request in.

        Returns:
            The accounts whose events it may see, None for all.

        Raises:
            HTTPException: It is not let in.
        """
        caller = self.identify(request)
        request.scope[CALLER] = caller
        if due := self._policies.of_request(caller):
            await self._take(request, due)
        return caller.accounts

    async def charge(self, request: Request, accounts: Iterable[str | None]) -> None:
        """Hold a request that was let in to the limits of its updates, before any is applied.

        Args:
            request: Whose updates are valid.
            accounts: The account that each of them names, None where it names none.

        Raises:
            HTTPException: They are too many.
        """
        if due := self._policies.of_updates(request.scope[CALLER], accounts):
            await self._take(request, due)

    async def _take(self, request: Request, due: list[Due]) -> None:
        taken = await self._buckets.take([one.claim for one in due])
        limits = [Limit.of(*pair) for pair in zip(due, taken.missing_seconds, strict=True)]
        show(request.scope, limits)
        if taken.is_taken:
            return
        # By what was rounded on its way, each may seem to have some left.
        reached = max(limits, key=lambda limit: (not limit.left, limit.wait_seconds))
        wait, (policy, account, claim) = reached.wait_seconds, reached.due
        metrics.LIMITED.labels(policy).inc()
        message = too_often(policy, claim.per_second, wait, account)
        raise HTTPException(429, message, {"Retry-After": str(wait)})

    def identify(self, request: Request) -> Caller:
        """Return who asks; counts nothing.

        Raises:
            HTTPException: They are not let in, or not any more.
        """
        if self._keys is None:
            if not is_from_here(request):
                raise HTTPException(401, terms.NOT_LOCAL, terms.ASK_FOR_KEY)
            return Caller("", None, self._requests_per_second, None)
        shown = request.headers.getlist("authorization")
        if len(shown) > 1:
            raise HTTPException(401, terms.TWO_KEYS, terms.ASK_FOR_KEY)
        scheme, _, token = (shown[0] if shown else "").strip().partition(" ")
        if scheme.lower() != SCHEME or not token:
            raise HTTPException(401, terms.NO_KEY, terms.ASK_FOR_KEY)
        key = self._keys.find(token.strip())
        if key is None:
            raise HTTPException(401, terms.UNKNOWN_KEY, terms.ASK_FOR_KEY)
        rate = key.requests_per_second or self._requests_per_second
        return Caller(key.name, key.account_ids, rate, key.updates_per_second)


def is_from_here(request: Request) -> bool:
    """Return whether a request to loopback is meant for it, as those from this machine are."""
    # A page in a browser on this machine may reach loopback by a name of its own.
    # HTTP/1.0 names no host, and no browser speaks it.
    host = request.headers.get("host")
    return host is None or is_loopback(_name_in(host))


def _name_in(host: str) -> str:
    """Return the name or the address in `localhost:8000`, nothing where there is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def is_loopback(host: str) -> bool:
    """Return whether a name or an address is of this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
