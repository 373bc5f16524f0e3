"""Ports for servers that are to be started."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.embedded import places

if TYPE_CHECKING:
    import pytest


def test_a_port_is_not_given_twice_before_somebody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several servers that are made first and started then, each has its own."""
    monkeypatch.setattr(places, "PORTS", range(20_000, 20_200))
    monkeypatch.setattr(places, "_GIVEN", set())
    given = [places.free_port() for _ in range(60)]
    assert len(set(given)) == len(given)


def test_ports_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long run of tests does not use them up."""
    monkeypatch.setattr(places, "PORTS", range(20_000, 20_200))
    monkeypatch.setattr(places, "_GIVEN", set())
    assert len([places.free_port() for _ in range(500)]) == 500
