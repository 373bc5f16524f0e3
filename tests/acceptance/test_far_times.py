"""Events of times that Python cannot hold, through both doors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg

from tests.gateway import completed

if TYPE_CHECKING:
    from tests.gateway import Gateways
    from tests.service import Service

TIMES = {
    "ev_never": "infinity",
    "ev_millis": "57872-05-10 16:00:00+00",
    "ev_bc": "0044-03-15 12:00:00+00 BC",
}


def test_they_are_settled_and_told_as_postgresql_writes_them(
    service: Service, gateways: Gateways
) -> None:
    """In outcomes, results, requests and for whoever looks; nobody is told that it is invalid."""
    service.load(*TIMES, "ev_plain")
    with psycopg.connect(service.database_url) as owner:
        for id_, time in TIMES.items():
            owner.execute("UPDATE events SET created_at = %s WHERE id = %s", [time, id_])
    service.start_worker()
    gateway = gateways.start()
    for id_, time in TIMES.items():
        assert gateway.get(id_).json["createdAt"] == time
    sent = service.send(args=[completed(*TIMES, "ev_plain")])
    outcomes = service.wait({sent.id: [*TIMES, "ev_plain"]})[sent.id]
    assert all(outcome.updated for outcome in outcomes)
    told = {outcome.id: outcome.created_at for outcome in outcomes}
    assert {id_: told[id_] for id_ in TIMES} == TIMES
    for answer in gateway.patch(completed(*TIMES)).json:
        assert answer["createdAt"] == TIMES[answer["id"]]
        assert answer["reason"] == "already_completed"
