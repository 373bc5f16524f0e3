"""Hosts of the tests' own: network namespaces on a bridge, which can be cut off.

What is cut off sends and receives nothing, not even an end of its connections. It takes root
and `ip`, of iproute2.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

NETWORKS = range(1, 255)


class HostsUnavailable(Exception):  # noqa: N818 - as of servers
    """There can be no network namespaces here."""


class Host:
    """A network namespace with an address."""

    def __init__(self, name: str, address: str, bridge: str) -> None:
        self.name, self.address, self._bridge = name, address, bridge

    @property
    def prefix(self) -> tuple[str, ...]:
        """Return what to put before a command that is to run there."""
        return ("ip", "netns", "exec", self.name)

    def cut_off(self) -> None:
        """Let nothing in and nothing out."""
        _ip("link", "set", self.name, "down")

    def part(self) -> None:
        """Let it reach no other host; it is reached from here all the same."""
        _ip("link", "set", self.name, "nomaster")
        _ip("route", "add", f"{self.address}/32", "dev", self.name)

    def join(self) -> None:
        """Let everything in and out again."""
        _ip("route", "delete", f"{self.address}/32", "dev", self.name, check=False)
        _ip("link", "set", self.name, "master", self._bridge, "up")


@contextmanager
def hosts(count: int) -> Iterator[list[Host]]:
    """Make hosts that reach each other and are reached from here.

    Raises:
        HostsUnavailable: That is not allowed here.
    """
    if os.geteuid() != 0 or shutil.which("ip") is None:
        raise HostsUnavailable("network namespaces take root, and iproute2")
    bridge = f"st{secrets.token_hex(3)}"
    network = _make_bridge(bridge)
    made = [
        Host(f"{bridge}-{number}", f"{network}.{number + 10}", bridge) for number in range(count)
    ]
    try:
        for host in made:
            _attach(host, bridge)
        yield made
    finally:
        for host in made:
            _ip("netns", "delete", host.name, check=False)
        _ip("link", "delete", bridge, check=False)


def _make_bridge(name: str) -> str:
    """Return the first three numbers of its addresses, of which nobody has any."""
    taken = _ip("-4", "address", "show")
    network = next(it for it in (f"10.219.{number}" for number in NETWORKS) if it not in taken)
    _ip("link", "add", name, "type", "bridge")
    _ip("address", "add", f"{network}.1/24", "dev", name)
    _ip("link", "set", name, "up")
    return network


def _attach(host: Host, bridge: str) -> None:
    _ip("netns", "add", host.name)
    inside = ("peer", "name", "eth0", "netns", host.name)
    _ip("link", "add", host.name, "type", "veth", *inside)
    _ip("link", "set", host.name, "master", bridge, "up")
    _ip("-n", host.name, "address", "add", f"{host.address}/24", "dev", "eth0")
    for device in ("lo", "eth0"):
        _ip("-n", host.name, "link", "set", device, "up")


def _ip(*arguments: str, check: bool = True) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise HostsUnavailable(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout
