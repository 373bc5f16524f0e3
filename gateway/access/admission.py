"""Who is let in: by API key and within its rate, or, without any keys, from this machine alone."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.exceptions import HTTPException

from gateway import terms

if TYPE_CHECKING:
    from starlette.requests import Request

    from gateway.access.keys import Keys

SCHEME = "bearer"


class Admission:
    """Asks each request for its key."""

    def __init__(self, keys: Keys | None, requests_per_second: int | None) -> None:
        """Begin with no request made.

        Args:
            keys: None where there are none.
            requests_per_second: With each key, or of all without keys; None for any number.
        """
        self._keys = keys
        self._rate = requests_per_second and RateLimitItemPerSecond(requests_per_second)
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def admit(self, request: Request) -> frozenset[str] | None:
        """Let a request in.

        Returns:
            The accounts whose events it may see, None for all.

        Raises:
            HTTPException: It is not let in.
        """
        name, accounts = self.identify(request)
        if self._rate and not self._limiter.hit(self._rate, name):
            raise HTTPException(429, terms.too_often(self._rate.amount), terms.RETRY_SOON)
        return accounts

    def identify(self, request: Request) -> tuple[str, frozenset[str] | None]:
        """Return who asks, and the accounts whose events they may see; counts nothing.

        Raises:
            HTTPException: They are not let in, or not any more.
        """
        if self._keys is None:
            if not is_from_here(request):
                raise HTTPException(401, terms.NOT_LOCAL, terms.ASK_FOR_KEY)
            return "", None
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != SCHEME or not token:
            raise HTTPException(401, terms.NO_KEY, terms.ASK_FOR_KEY)
        key = self._keys.find(token.strip())
        if key is None:
            raise HTTPException(401, terms.UNKNOWN_KEY, terms.ASK_FOR_KEY)
        return key.name, key.account_ids


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
