"""One process's way to its servers."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier, BrokenBarrierError
from typing import TYPE_CHECKING

import pytest

from service import connections
from service.connections import Service, make_service, service

if TYPE_CHECKING:
    from collections.abc import Iterator

    from service.settings import Settings

THREADS = 3
# For a second thread to come to where a service is made; none does.
MEET_SECONDS = 0.2


@pytest.fixture(autouse=True)
def _made_by_nobody_yet() -> Iterator[None]:
    connections._service_of.cache_clear()
    yield
    connections._service_of.cache_clear()


def test_threads_share_one_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker's slots are threads, and all of them need it first at the same moment."""
    made: list[Service] = []
    start, inside = Barrier(THREADS), Barrier(2)

    def make_slowly(settings: Settings) -> Service:
        with suppress(BrokenBarrierError):
            inside.wait(MEET_SECONDS)
        made.append(make_service(settings))
        return made[-1]

    def ask(_: int) -> Service:
        start.wait()
        return service()

    monkeypatch.setattr(connections, "make_service", make_slowly)
    with ThreadPoolExecutor(THREADS) as threads:
        given = list(threads.map(ask, range(THREADS)))
    assert len(made) == 1
    assert all(each is made[0] for each in given)


def test_a_child_process_makes_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections of a parent are not a forked child's to use, or to close."""
    parents = service()
    monkeypatch.setattr(os, "getpid", lambda: -1)
    childs = service()
    assert childs is not parents
    assert childs.database is not parents.database
    assert service() is childs
