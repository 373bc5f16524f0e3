"""Who is let in, and how often."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request

from gateway.access.admission import Admission, is_loopback
from gateway.access.buckets import Buckets, Taken
from gateway.access.keys import Keys, as_toml, draw
from gateway.access.policies import Policies

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from gateway.access.buckets import Claim


class StoppedBuckets:
    """Buckets of a clock that stands still."""

    def __init__(self) -> None:
        self._buckets = Buckets()

    async def take(self, claims: Sequence[Claim]) -> Taken:
        """Take from them."""
        return self._buckets.take(claims, 1_000.0)


def door(
    keys: Keys | None = None, requests_per_second: int | None = None
) -> Callable[[Request], frozenset[str] | None]:
    """Return what lets requests in."""
    buckets: Any = StoppedBuckets()
    admission = Admission(keys, Policies(keys, None), buckets, requests_per_second)
    return lambda request: asyncio.run(admission.admit(request))


def request(**headers: str) -> Request:
    """Make a request."""
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"\xff", "headers": raw}
    return Request({**scope, "server": ("127.0.0.1", 8000)})


@pytest.fixture
def tokens(tmp_path: Path) -> tuple[Keys, str, str]:
    """Give the keys of a shop, which has two accounts, and of an operator, who has all."""
    shop, ops = draw("shop", ["acct_1", "acct_2"]), draw("ops", "all")
    path = tmp_path / "keys.toml"
    path.write_text("\n".join(as_toml(key) for _, key in (shop, ops)))
    return Keys(path), shop[0], ops[0]


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer  ", "BEARER ", "bEaReR    ", " Bearer "])
def test_a_key_opens_its_accounts(tokens: tuple[Keys, str, str], scheme: str) -> None:
    """The scheme in any case, and spaces; None stands for all accounts, whatever the host."""
    keys, shop, ops = tokens
    admit = door(keys)
    assert admit(request(authorization=f"Bearer {shop}")) == frozenset({"acct_1", "acct_2"})
    assert admit(request(authorization=f"{scheme}{ops} ", host="api.example")) is None


@pytest.mark.parametrize(
    "shown",
    [None, "", "Bearer", "Bearer ", "Basic {}", "{}", "Bearer {}x", "Bearer x{}", "Bearer {} é"],
)
def test_anything_else_is_not_let_in(tokens: tuple[Keys, str, str], shown: str | None) -> None:
    """401, and how to ask, without what was shown."""
    keys, shop, _ = tokens
    asked = request() if shown is None else request(authorization=shown.format(shop))
    with pytest.raises(HTTPException) as refused:
        door(keys)(asked)
    assert refused.value.status_code == 401
    assert refused.value.headers == {"WWW-Authenticate": "Bearer"}
    assert shop not in refused.value.detail


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8000", "127.0.0.1", "127.1.2.3:1", "[::1]:8000", "[::1]"]
)
def test_without_keys_this_machine_is_let_in(host: str) -> None:
    """By any of its own names."""
    assert door()(request(host=host)) is None


def test_without_keys_a_client_may_name_no_host() -> None:
    """HTTP/1.0 does not ask for it."""
    assert door()(request()) is None


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "localhost.evil.example:8000", "10.0.0.1", "[::2]", "0.0.0.0:8000"),
        *("", "[", "[bad]:1", "evil.example:bad", "localhost@evil.example", "é"),
    ],
)
def test_without_keys_a_page_elsewhere_is_not(host: str) -> None:
    """A name in somebody's domain may lead here; and what is no host is nobody's."""
    with pytest.raises(HTTPException) as refused:
        door()(request(host=host))
    assert refused.value.status_code == 401


@pytest.mark.parametrize("second", ["Bearer {}", "Bearer other", "Basic c2hvcDo=", ""])
def test_two_keys_at_once_are_none(tokens: tuple[Keys, str, str], second: str) -> None:
    """Nobody is to guess which is meant, in whichever order they come."""
    keys, shop, ops = tokens
    shown = [f"Bearer {shop}", second.format(ops)]
    for values in (shown, shown[::-1]):
        asked = request()
        asked.scope["headers"] = [(b"authorization", value.encode()) for value in values]
        with pytest.raises(HTTPException, match="given once") as refused:
            door(keys)(asked)
        assert refused.value.status_code == 401


def test_each_key_has_its_own_rate(tokens: tuple[Keys, str, str]) -> None:
    """One that asks too often is asked to wait, and the others are not."""
    keys, shop, ops = tokens
    admit = door(keys, 2)
    for _ in range(2):
        admit(request(authorization=f"Bearer {shop}"))
    for _ in range(3):
        with pytest.raises(HTTPException) as refused:
            admit(request(authorization=f"Bearer {shop}"))
        assert refused.value.status_code == 429
        assert refused.value.headers == {"Retry-After": "1"}
    admit(request(authorization=f"Bearer {ops}"))


def test_a_limit_that_seems_to_have_a_unit_left_is_reached_all_the_same() -> None:
    """The script knows better than what it says in six digits."""

    class Rounding:
        async def take(self, claims: Sequence[Claim]) -> Taken:
            return Taken(is_taken=False, missing_seconds=[0.999999])

    buckets: Any = Rounding()
    admission = Admission(None, Policies(None, None), buckets, 1_000_000)
    with pytest.raises(HTTPException, match="key-requests: more than 1,000,000 ") as refused:
        asyncio.run(admission.admit(request()))
    assert refused.value.headers == {"Retry-After": "1"}


def test_a_key_that_is_not_known_uses_up_nobodys_rate(tokens: tuple[Keys, str, str]) -> None:
    """Guessing does not lock anybody out."""
    keys, shop, _ = tokens
    admit = door(keys, 1)
    for _ in range(3):
        with pytest.raises(HTTPException, match="not known"):
            admit(request(authorization="Bearer guess"))
    admit(request(authorization=f"Bearer {shop}"))


@pytest.mark.parametrize(
    ("host", "is_here"),
    [
        *(("127.0.0.1", True), ("::1", True), ("localhost", True), ("127.255.0.9", True)),
        *(("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("", False)),  # noqa: S104
        *(("localhost.", False), ("machine", False)),
    ],
)
def test_loopback_is_known(host: str, is_here: bool) -> None:
    """A name or an address of this machine alone."""
    assert is_loopback(host) is is_here
