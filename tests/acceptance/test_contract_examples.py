"""The examples of contracts/openapi.json, sent as they stand to a real gateway."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from psycopg.types.json import Jsonb

from cli.contracts.examples import EVENTS
from tests.documents import read
from tests.gateway import BATCH, JSON, path_of

if TYPE_CHECKING:
    from tests.gateway import Gateway
    from tests.service import Service

PATHS = read("openapi.json")["paths"]
SETTLE, SHOW = PATHS[BATCH]["patch"], PATHS["/v2/api/events/{id}"]["get"]
INSERT = "INSERT INTO events VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"


def examples(*where: str, of: Any = SETTLE) -> dict[str, Any]:
    """Return the examples of a part of an operation, by name."""
    for name in where:
        of = of[name]
    found: dict[str, Any] = of["content"]["application/json"]["examples"]
    return found


KEYS = {name: each["value"] for name, each in SETTLE["parameters"][0]["examples"].items()}
REQUESTS, ANSWERS = examples("requestBody"), examples("responses", "200")
REFUSALS = examples("responses", "400")
SHOWN = examples("responses", "200", of=SHOW)
NOT_SHOWN = examples("responses", "400", of=SHOW) | examples("responses", "404", of=SHOW)


@pytest.fixture
def documented(emptied_service: Service, lasting_gateway: Gateway) -> Gateway:
    """Give a gateway, and the events as the examples find them."""
    with emptied_service.database.engine.begin() as owner:
        for row in EVENTS.values():
            payload = Jsonb(json.loads(row.payload or "null"))
            id_, account, kind, created, completed, failed, settled_by, _ = row
            values = (id_, account, kind, payload, created, completed, failed, settled_by)
            owner.exec_driver_sql(INSERT, values)
    return lasting_gateway


def without_times(outcomes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Say of the times of settling only whether there are any."""
    return [
        {**outcome, **{name: outcome[name] is not None for name in ("completedAt", "failedAt")}}
        for outcome in outcomes
    ]


def test_every_request_has_an_answer() -> None:
    """Under the same name, with a key of its own."""
    assert REQUESTS.keys() == ANSWERS.keys() == KEYS.keys()
    assert len(set(KEYS.values())) == len(KEYS)
    assert REFUSALS
    assert NOT_SHOWN


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_gets_its_answer(documented: Gateway, name: str) -> None:
    """All of it, but for the moment at which an event was settled."""
    answer = documented.patch(REQUESTS[name]["value"], idempotency_key=KEYS[name])
    assert answer.status == 200
    assert without_times(answer.json) == without_times(ANSWERS[name]["value"])


@pytest.mark.parametrize("example", REFUSALS.values(), ids=REFUSALS)
def test_a_bad_request_gets_its_answer(documented: Gateway, example: Any) -> None:
    """Word for word."""
    answer = documented.ask("PATCH", BATCH, example["x-request-body"], JSON)
    assert (answer.status, answer.json) == (400, example["value"])


def test_an_event_is_shown(documented: Gateway) -> None:
    """As it is in the document."""
    (parameter,) = SHOW["parameters"]
    for name, example in parameter["examples"].items():
        assert documented.get(example["value"]).json == SHOWN[name]["value"]
    assert documented.ask("GET", path_of("ev_1")).status == 200


@pytest.mark.parametrize("example", NOT_SHOWN.values(), ids=NOT_SHOWN)
def test_what_cannot_be_shown_gets_its_answer(documented: Gateway, example: Any) -> None:
    """Word for word."""
    answer = documented.ask("GET", example["x-request-path"])
    assert (answer.status, answer.json) == (example["value"]["statusCode"], example["value"])
