"""What the HTTP door answers, through a real process and nothing but HTTP."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING

import pytest

from tests.gateway import (
    Gateway,
    Gateways,
    check_is_problem,
    completed,
    published,
    statuses,
)

if TYPE_CHECKING:
    from tests.service import Service


ATTRIBUTES = [
    *("id", "updated", "status", "reason", "messageId", "index"),
    *("accountId", "eventType", "createdAt", "completedAt", "failedAt", "payload"),
]


def test_every_update_is_answered_in_order(service: Service, gateway: Gateway) -> None:
    """With the documented attributes in their order, payload included, null where not found."""
    gateway.patch(completed("ev_3"), idempotency_key="before")
    answer = gateway.patch(
        [
            {"id": "ev_2", "status": "failed"},
            {"id": "ev_1", "status": "completed", "accountId": "acct_1", "eventType": "ignored"},
            {"id": "nobody", "status": "failed"},
            {"id": "ev_2", "status": "completed"},
            {"id": "ev_3", "status": "failed"},
            {"id": "ev_4", "status": "failed", "accountId": "acct_2"},
        ],
        idempotency_key="m1",
    )
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    outcomes = answer.json
    assert [(one["id"], one["updated"], one["reason"]) for one in outcomes] == [
        ("ev_2", True, None),
        ("ev_1", True, None),
        ("nobody", False, "not_found"),
        ("ev_2", False, "already_failed"),
        ("ev_3", False, "already_completed"),
        ("ev_4", False, "not_found"),
    ]
    assert all(list(one) == ATTRIBUTES for one in outcomes)
    assert {one["messageId"] for one in outcomes} == {"m1"}
    assert [one["index"] for one in outcomes] == [*range(len(outcomes))]
    assert outcomes[0]["payload"] == outcomes[4]["payload"] == {"a": 1}
    assert outcomes[0]["failedAt"].endswith("Z")
    assert outcomes[0]["completedAt"] is None
    nothing = dict.fromkeys(ATTRIBUTES[6:])
    assert {name: outcomes[2][name] for name in nothing} == nothing
    assert {name: outcomes[5][name] for name in nothing} == nothing
    assert statuses(service, "ev_1", "ev_2", "ev_3", "ev_4") == [
        *("completed", "failed", "completed", None)
    ]


def test_the_channel_gets_the_same_outcomes(service: Service, gateway: Gateway) -> None:
    """On Pub/Sub and in the stream, in order, without the payload, before the answer comes."""
    with service.outcomes.subscribe() as outcomes:
        answer = gateway.patch(completed("ev_2", "ev_1", "nobody"))
        kept = published(service)
        heard = [next(outcomes) for _ in range(3)]
    answered = [{name: one[name] for name in ATTRIBUTES[:-1]} for one in answer.json]
    assert kept == answered
    assert [json.loads(outcome.to_json()) for outcome in heard] == answered


def test_a_setting_adds_the_payload_to_the_channel(service: Service, gateways: Gateways) -> None:
    """Then it gets just what the client gets."""
    service.load("ev_1")
    gateway = gateways.start(SETTLE_OUTCOME_PAYLOAD="true")
    assert gateway.patch(completed("ev_1", "nobody")).json == published(service)


def test_a_message_without_a_key_has_an_id_of_its_own(gateway: Gateway) -> None:
    """A new one for every request."""
    ids = [gateway.patch(completed("ev_1")).json[0]["messageId"] for _ in range(2)]
    assert len({uuid.UUID(id_) for id_ in ids}) == 2


def test_a_retry_gets_the_same_outcomes(service: Service, gateway: Gateway) -> None:
    """Under the same key, whatever happened meanwhile; without it, the event is settled already."""
    key = "".join(map(chr, range(0x21, 0x7F)))
    first = gateway.patch(completed("ev_1", "nobody"), idempotency_key=key)
    other = gateway.patch([{"id": "ev_1", "status": "failed"}], idempotency_key="another")
    again = gateway.patch(completed("ev_1", "nobody"), idempotency_key=key)
    assert first.json == again.json
    assert {one["messageId"] for one in first.json} == {key}
    assert [one["reason"] for one in other.json] == ["already_completed"]
    assert statuses(service, "ev_1") == ["completed"]


def test_an_event_is_shown_as_it_stands(gateway: Gateway) -> None:
    """Its seven attributes, pending and settled."""
    shown = gateway.get("ev_1")
    assert shown.status == 200
    assert list(shown.json) == [
        *("accountId", "completedAt", "createdAt", "eventType", "failedAt", "id", "payload")
    ]
    assert (shown.json["completedAt"], shown.json["failedAt"]) == (None, None)
    (outcome,) = gateway.patch([{"id": "ev_1", "status": "failed"}]).json
    shown = gateway.get("ev_1")
    assert shown.json == {name: outcome[name] for name in shown.json}


IDS = [
    *("a/b", "/", "//a", "a/", "../../metrics", ".", "..", "a?b#c", "100%", "%2F", "a b"),
    *("é", "\N{SNOWMAN}", "\N{GRINNING FACE}", "x" * 255, "\N{GRINNING FACE}" * 255),
    *("a\nb", "a\n", "\r\n", "\t", "\x7f", "batch/", "Batch", '"', "\\", "'; --"),
]


def test_an_id_may_be_any_text(service: Service, gateway: Gateway) -> None:
    """It is found in a path and in a body, and nothing else is taken for it."""
    service.load(*IDS)
    for id_ in IDS:
        assert gateway.get(id_).json["id"] == id_
        (outcome,) = gateway.patch(completed(id_)).json
        assert (outcome["id"], outcome["updated"]) == (id_, True)
        assert gateway.get(id_).json["completedAt"] == outcome["completedAt"]
        assert gateway.get(id_[:-1] + "~").status == 404


def test_a_thousand_updates_are_one_request(service: Service, gateways: Gateways) -> None:
    """One more is refused, and a setting moves the limit."""
    ids = [f"ev_{number}" for number in range(1_001)]
    service.load(*ids)
    gateway = gateways.start()
    check_is_problem(gateway.patch(completed(*ids)), 400, "Bad Request", "1 to 1000 updates")
    assert published(service) == []
    answer = gateway.patch(completed(*ids[:1_000]))
    assert [one["id"] for one in answer.json if one["updated"]] == ids[:1_000]
    assert len(published(service)) == 1_000
    small = gateways.start(SETTLE_MESSAGE_MAX_UPDATES="2")
    check_is_problem(small.patch(completed(*ids[:3])), 400, "Bad Request", "1 to 2 updates")


def test_an_update_that_the_database_refuses_hurts_no_other(
    service: Service, gateway: Gateway
) -> None:
    """It alone is `refused`, with the reason, and kept as a dead letter; the rest is settled."""
    with service.database.engine.begin() as operator:
        operator.exec_driver_sql(
            "ALTER TABLE events ADD CHECK (id <> 'ev_2' OR completed_at IS NULL)"
        )
    answer = gateway.patch(completed("ev_1", "ev_2", "ev_3"), idempotency_key="m")
    outcomes = answer.json
    assert [(one["id"], one["reason"]) for one in outcomes] == [
        *(("ev_1", None), ("ev_2", "refused"), ("ev_3", None))
    ]
    assert list(outcomes[1]) == [*ATTRIBUTES, "error"]
    assert (outcomes[1]["payload"], outcomes[1]["error"]["statusCode"]) == ({"a": 1}, 409)
    assert statuses(service, "ev_1", "ev_2", "ev_3") == ["completed", None, "completed"]
    assert [one["reason"] for one in published(service)] == [None, "refused", None]
    ((_, letter),) = service.redis.xrange("event-status-updates.dead")
    assert (letter["messageId"], letter["index"]) == ("m", "1")
    assert json.loads(letter["delivery"]) == {"door": "http"}
    assert json.loads(letter["raw"])["id"] == "ev_2"


@pytest.mark.parametrize(
    "payload",
    ['{"a": ' + "[" * 2_000 + "]" * 2_000 + "}", '{"a": ' + "1" * 5_000 + "}"],
    ids=["deep", "a long number"],
)
def test_a_payload_may_be_whatever_postgresql_holds(
    service: Service, gateway: Gateway, payload: str
) -> None:
    """It is shown as it is, and neither its event nor those beside it fail for it."""
    with service.database.engine.begin() as owner:
        owner.exec_driver_sql("UPDATE events SET payload = %s WHERE id = 'ev_2'", (payload,))
    assert gateway.get("ev_2").status == 200
    answer = gateway.patch(completed("ev_1", "ev_2"))
    assert answer.status == 200
    assert payload.replace(" ", "").encode() in answer.body.replace(b" ", b"")


def test_an_answer_may_be_long(service: Service, gateway: Gateway) -> None:
    """An event is in the answer as often as it is named, with its payload."""
    payload = {"text": "x" * 100_000}
    with service.database.engine.begin() as owner:
        owner.exec_driver_sql(
            "UPDATE events SET payload = %s WHERE id = 'ev_2'", (json.dumps(payload),)
        )
    outcomes = gateway.patch(completed(*["ev_2"] * 50, "ev_1")).json
    assert [one["id"] for one in outcomes] == [*["ev_2"] * 50, "ev_1"]
    assert all(one["payload"] == payload for one in outcomes[:-1])
