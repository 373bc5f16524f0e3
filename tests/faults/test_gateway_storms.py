"""Both doors at once on the same events, with nothing broken and with everything."""

from __future__ import annotations

import json
import random
import time
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.http_load import HttpLoad, overlapping
from tests.faults.strikes import crash_the_outcome_redis, restart_postgres

if TYPE_CHECKING:
    from tests.faults.rig import Rig
    from tests.gateway import Gateways
    from tests.service import Service

pytestmark = pytest.mark.storms
IDS = [f"ev_{number}" for number in range(400)]
CLIENTS = 6
MESSAGES = 60


def published_outcomes(service: Service) -> dict[tuple[str, str], Any]:
    """Return what was published, by message id and event id; whoever repeats says the same."""
    outcomes_by_update = defaultdict(list)
    for _, fields in service.channel.xrange("event-outcomes"):
        outcome = json.loads(fields["outcome"])
        outcomes_by_update[outcome["messageId"], outcome["id"]].append(outcome)
    assert all(one == outcomes[0] for outcomes in outcomes_by_update.values() for one in outcomes)
    return {key: outcomes[0] for key, outcomes in outcomes_by_update.items()}


def check_adds_up(
    service: Service, by_queue: dict[str, list[dict[str, str]]], clients: list[HttpLoad]
) -> None:
    """Check that nothing is lost, nothing untrue is told, and every event has one winner."""
    assert [client.unexpected for client in clients] == [[]] * len(clients)
    by_http = {key: sent for client in clients for key, sent in client.messages.items()}
    published = published_outcomes(service)
    sent = {
        (message, update["id"]): update["status"]
        for message, updates in {**by_queue, **by_http}.items()
        for update in updates
    }
    assert published.keys() == sent.keys()

    answers = {key: answer for client in clients for key, answer in client.answers.items()}
    assert answers.keys() == by_http.keys()
    for key, updates in by_http.items():
        assert [one["id"] for one in answers[key]] == [update["id"] for update in updates]
        for one in answers[key]:
            assert one.pop("payload") == {"a": 1}
            assert one == published[key, one["id"]]

    rows = service.database.read_events(IDS)
    winners = Counter(id_ for (_, id_), one in published.items() if one["updated"])
    assert winners == Counter({id_ for _, id_ in sent})
    for (message, id_), one in published.items():
        row = rows[id_]
        if one["updated"]:
            assert (row.settled_by, row.status) == (message, sent[message, id_])
        else:
            assert one["reason"] == f"already_{row.status}"
    # Else it would not be a race.
    assert {row.settled_by.partition("-")[0] for row in rows.values() if row.settled_by} >= {
        *("queue", "http0")
    }


def start_load(
    rig: Rig, gateways: Gateways
) -> tuple[dict[str, list[dict[str, str]]], list[HttpLoad]]:
    """Open both doors, and let everybody in at once."""
    chance = random.Random(5)
    rig.service.load(*IDS)
    by_queue = overlapping("queue", CLIENTS * MESSAGES, IDS, chance)
    clients = [
        HttpLoad(gateways, overlapping(f"http{number}", MESSAGES, IDS, chance))
        for number in range(CLIENTS)
    ]
    for client in clients:
        client.start()
    for message, updates in by_queue.items():
        rig.service.send(args=[updates], task_id=message, ignore_result=True)
    return by_queue, clients


def wait_for(rig: Rig, by_queue: dict[str, list[dict[str, str]]], clients: list[HttpLoad]) -> None:
    """Wait until everybody was answered."""
    for client in clients:
        client.join()
    rig.drain()
    rig.service.wait(
        {message: {update["id"] for update in sent} for message, sent in by_queue.items()}
    )


def test_both_doors_at_once(unloaded_rig: Rig, gateways: Gateways) -> None:
    """One message settles an event, whatever door it came by; every answer is what is published."""
    unloaded_rig.start_worker()
    gateways.start()
    by_queue, clients = start_load(unloaded_rig, gateways)
    wait_for(unloaded_rig, by_queue, clients)
    check_adds_up(unloaded_rig.service, by_queue, clients)


def test_two_gateways_and_all_that_breaks(unloaded_rig: Rig, gateways: Gateways) -> None:
    """Gateways killed, servers restarted: whoever repeats what was not answered loses nothing."""
    unloaded_rig.start_worker()
    gateways.start()
    by_queue, clients = start_load(unloaded_rig, gateways)
    for strike in range(6):
        due = (strike + 1) * CLIENTS * MESSAGES // 8
        while sum(len(client.answers) for client in clients) < due:
            assert any(client.is_alive() for client in clients)
            time.sleep(0.01)
        match strike % 3:
            case 0:
                gateways.start()
                gateways.started[-2].kill()
            case 1:
                restart_postgres(unloaded_rig, immediate=bool(strike % 2))
            case 2:
                crash_the_outcome_redis(unloaded_rig)
    wait_for(unloaded_rig, by_queue, clients)
    check_adds_up(unloaded_rig.service, by_queue, clients)
