"""Which addresses are connected to, and that it is those which were looked at."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address
from typing import Any

import httpcore
import pytest

from webhooks import destinations
from webhooks.destinations import (
    AddressRefusedError,
    Guard,
    GuardedNetwork,
    is_public,
    networks_of,
)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.9.9.9",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",  # noqa: S104 - an address that is refused
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fc00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "2002:7f00:1::",
        "64:ff9b::7f00:1",
        "64:ff9b:1::7f00:1",
        "::7f00:1",
        "::a9fe:a9fe",
        "::ffff:0:7f00:1",
        "fec0::1",
        "5f00::1",
        "3fff::1",
        "2001:db8::1",
        "4000::1",
        "192.88.99.1",
        "64:ff9b::a9fe:a9fe",
    ],
)
def test_an_address_that_is_not_anybodys_is_not_public(address: str) -> None:
    """Also where it is written inside another."""
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
)
def test_others_are(address: str) -> None:
    """Of either kind."""
    assert is_public(ip_address(address))


def test_networks_may_be_allowed() -> None:
    """Each by itself; without TLS only those."""
    guard = Guard(networks_of("10.1.0.0/16, ::1/128"), lookups=1)
    for address, encrypted, clear in (
        ("10.1.2.3", True, True),
        ("::ffff:10.1.2.3", True, True),
        ("::1", True, True),
        ("10.2.0.1", False, False),
        ("1.1.1.1", True, False),
    ):
        assert guard.may_connect(ip_address(address), is_encrypted=True) is encrypted
        assert guard.may_connect(ip_address(address), is_encrypted=False) is clear


class Inner(httpcore.AsyncNetworkBackend):
    """Notes where it is to connect to."""

    def __init__(self, *away: str) -> None:
        self.asked: list[str] = []
        self._away = away

    async def connect_tcp(self, host: str, *_: Any) -> Any:
        """Connect to nobody."""
        self.asked.append(host)
        if host in self._away:
            raise httpcore.ConnectError("away")
        return object()


def connect(monkeypatch: pytest.MonkeyPatch, inner: Inner, *answers: list[str]) -> None:
    """Connect to a name that says something else each time that it is looked up."""
    left = list(answers)
    monkeypatch.setattr(destinations, "_look_up", lambda *_: left.pop(0))
    network = GuardedNetwork(Guard((), lookups=1), is_encrypted=True)
    monkeypatch.setattr(network, "_inner", inner)
    asyncio.run(network.connect_tcp("name.example", 443))


def test_the_address_that_was_looked_at_is_the_one_that_is_connected_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name that says another a moment later is not asked a second time."""
    inner = Inner()
    connect(monkeypatch, inner, ["1.1.1.1"], ["127.0.0.1"])
    assert inner.asked == ["1.1.1.1"]


def test_of_several_addresses_only_public_ones_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other."""
    inner = Inner("1.1.1.1")
    connect(monkeypatch, inner, ["10.0.0.1", "1.1.1.1", "8.8.8.8"])
    assert inner.asked == ["1.1.1.1", "8.8.8.8"]


def test_where_there_is_none_nobody_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the error names the address."""
    inner = Inner()
    with pytest.raises(AddressRefusedError, match=r"169\.254\.169\.254 is not public"):
        connect(monkeypatch, inner, ["169.254.169.254"])
    assert inner.asked == []
