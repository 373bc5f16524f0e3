"""Which addresses may be connected to: no private one, unless a setting allows its network.

Looked at where a connection is made, and that very address is connected to: a name that
says something else a moment later changes nothing.
"""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Any

import httpcore

if TYPE_CHECKING:
    from collections.abc import Iterable
    from ipaddress import IPv4Network

    Address = IPv4Address | IPv6Address
    Network = IPv4Network | IPv6Network

# Of a name that has many.
MOST_ADDRESSES = 4
# Which an operator of IPv6 alone uses to reach IPv4.
NAT64 = IPv6Network("64:ff9b::/96")
# All that is given out of IPv6; Python takes much for global besides.
GIVEN_OUT = IPv6Network("2000::/3")
# Examples of the documentation, and relays that are no more: not every Python knows them.
NEVER_PUBLIC = (ip_network("3fff::/20"), ip_network("192.88.99.0/24"))


class AddressRefusedError(Exception):
    """A name leads to no address that may be connected to."""


def networks_of(text: str) -> tuple[Network, ...]:
    """Read networks, with commas between them.

    Raises:
        ValueError: One is none.
    """
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def is_public(address: Address) -> bool:
    """Return whether an address is anybody's, and not of a private network or of this machine."""
    return all(_is_given_out(each) for each in _meant(address))


def _is_given_out(address: Address) -> bool:
    if any(address in network for network in NEVER_PUBLIC):
        return False
    is_known = isinstance(address, IPv4Address) or address in GIVEN_OUT or address in NAT64
    return is_known and address.is_global and not address.is_multicast


def _meant(address: Address) -> list[Address]:
    """Return an address, and the one that is written in it."""
    if isinstance(address, IPv4Address):
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    inner = [address.sixtofour, *(address.teredo or ())]
    if address in NAT64:
        inner.append(IPv4Address(int(address) & 0xFFFF_FFFF))
    return [address, *(each for each in inner if each is not None)]


class Guard:
    """Decides, and resolves names."""

    def __init__(self, allowed: Iterable[Network], *, lookups: int) -> None:
        """Decide by the networks that are allowed besides public ones.

        Args:
            allowed: Of a setting.
            lookups: How many names are looked up at once: those that never answer hold up
                no others.
        """
        self._allowed = tuple(allowed)
        self._threads = ThreadPoolExecutor(lookups, thread_name_prefix="name")

    def may_connect(self, address: Address, *, is_encrypted: bool) -> bool:
        """Return whether an address may be connected to; in clear only where it is allowed."""
        meant = _meant(address)[0]
        if any(meant in network for network in self._allowed):
            return True
        return is_encrypted and is_public(address)

    async def find(self, host: str, port: int, *, is_encrypted: bool) -> list[str]:
        """Return the addresses of a host that may be connected to.

        Raises:
            AddressRefusedError: There is none among those that it has.
            OSError: It has none.
        """
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._threads, _look_up, host, port)
        allowed = [
            each for each in found if self.may_connect(ip_address(each), is_encrypted=is_encrypted)
        ]
        if not allowed:
            raise AddressRefusedError(
                f"{found[0]} is not public" if is_encrypted else f"{found[0]} is asked in clear"
            )
        return allowed[:MOST_ADDRESSES]


def _look_up(host: str, port: int) -> list[str]:
    infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    # Without the zone of a link-local one.
    return list(dict.fromkeys(str(info[4][0]).partition("%")[0] for info in infos))


class GuardedNetwork(httpcore.AsyncNetworkBackend):
    """Makes connections of TCP, to such addresses alone."""

    def __init__(self, guard: Guard, *, is_encrypted: bool) -> None:
        self._guard, self._is_encrypted = guard, is_encrypted
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - as it is called there
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address of a host that takes it."""
        addresses = await self._guard.find(host, port, is_encrypted=self._is_encrypted)
        # One that never answers leaves time for the next, and for the request.
        share = None if timeout is None else timeout / (len(addresses) + 1)
        for address in addresses[:-1]:
            try:
                return await self._inner.connect_tcp(
                    address, port, share, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._inner.connect_tcp(
            addresses[-1], port, timeout, local_address, socket_options
        )
