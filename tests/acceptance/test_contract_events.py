"""The examples of `/v2/api/events` in contracts/openapi.json, sent as they stand."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from psycopg.types.json import Jsonb

from cli.contracts.examples import EVENTS as ROWS
from tests.documents import read
from tests.gateway import EVENTS, JSON, Gateway, Gateways

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.service import Service

OPERATIONS = read("openapi.json")["paths"][EVENTS]
INSERT = "INSERT INTO events VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
WITH_BODY = ("patch", "post")


@pytest.fixture(scope="module")
def lasting_gateway(lasting_service: Service) -> Iterator[Gateway]:
    """Give a gateway that may create events, without keys."""
    with closing(Gateways(lasting_service)) as gateways:
        yield gateways.start(DATABASE_URL=lasting_service.database_url)


@pytest.fixture
def documented(emptied_service: Service, lasting_gateway: Gateway) -> Gateway:
    """Give it with the events as the examples find them."""
    with emptied_service.database.engine.begin() as owner:
        for row in ROWS.values():
            owner.exec_driver_sql(INSERT, (*row[:3], Jsonb(json.loads(row[7] or "")), *row[3:7]))
    return lasting_gateway


def requests() -> Iterator[Any]:
    """Yield each example of a body, with its status and the answer."""
    for method in WITH_BODY:
        operation = OPERATIONS[method]
        sent = operation["requestBody"]["content"]["application/json"]["examples"]
        answers = operation["responses"]["200"]["content"]["application/json"]["examples"]
        for name, example in sent.items():
            body = json.dumps(example["value"])
            yield pytest.param(method, body, 200, answers[name]["value"], id=f"{method}-{name}")
        for status in ("400", "404", "409"):
            answer = operation["responses"].get(status, {})
            found = answer.get("content", {}).get("application/json", {}).get("examples", {})
            for name, example in found.items():
                body = example["x-request-body"]
                yield pytest.param(
                    method, body, int(status), example["value"], id=f"{method}-{name}"
                )


def without_times(answer: Any) -> Any:
    """Say of the times of settling only whether there are any."""
    if isinstance(answer, list):
        return [without_times(one) for one in answer]
    return {
        name: value is not None if name in ("completedAt", "failedAt") else value
        for name, value in answer.items()
    }


@pytest.mark.parametrize(("method", "body", "status", "expected"), list(requests()))
def test_a_request_gets_its_answer(
    documented: Gateway, method: str, body: str, status: int, expected: Any
) -> None:
    """Word for word, but for the moment at which an event was settled."""
    headers = {**JSON, "Idempotency-Key": "billing-1"}
    answer = documented.ask(method.upper(), EVENTS, body, headers)
    assert answer.status == status
    assert without_times(answer.json) == without_times(expected)


def lists() -> Iterator[Any]:
    """Yield each example of a list, with its status and the answer."""
    for status in ("200", "400"):
        content = OPERATIONS["get"]["responses"][status]["content"]["application/json"]
        for name, example in content["examples"].items():
            yield pytest.param(example["x-request-path"], int(status), example["value"], id=name)


@pytest.mark.parametrize(("path", "status", "expected"), list(lists()))
def test_a_list_gets_its_answer(documented: Gateway, path: str, status: int, expected: Any) -> None:
    """Word for word."""
    answer = documented.ask("GET", path)
    assert (answer.status, answer.json) == (status, expected)
