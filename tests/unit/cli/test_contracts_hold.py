"""What the documents in contracts/ say is what the service takes and gives."""

from __future__ import annotations

import json
from base64 import b64decode
from contextlib import closing
from typing import TYPE_CHECKING, Any

import fakeredis
import pytest
from celery import Celery
from hypothesis import given
from hypothesis import strategies as st

from cli.contracts.examples import EVENTS, EXCHANGES, REFUSALS
from settle_client.envelope import bulk, single
from settle_client.names import DEAD_LETTERS, QUEUE, TASK
from settle_client.update import StatusUpdate
from tasks.messages import InvalidUpdate, Message, understand, validate
from tasks.publishing import OutcomePublisher
from tasks.settle import dead_letters, invalid, settle_batch
from tests.documents import read, validator
from tests.model import ReferenceEvents

if TYPE_CHECKING:
    from collections.abc import Sequence

    from settle_client.outcome import Outcome

UPDATE_SCHEMA = validator(read("schemas/update.schema.json"))
OUTCOME_SCHEMA = validator(read("schemas/outcome.schema.json"))
UPDATE = StatusUpdate(id="ev_1", status="completed")
OTHER = StatusUpdate(id="ü\n", status="failed", account_id="acct_9")


def settled(message_id: str, updates: Sequence[Any], *, with_payload: bool) -> list[Outcome]:
    """Settle a message of updates, beginning with the events of the examples."""
    events = ReferenceEvents({})
    events.rows = dict(EVENTS)
    message = understand(message_id, [list(updates)], {}, max_updates=1_000)
    (outcomes,) = settle_batch([message], events, with_payload=with_payload)
    return outcomes


def without_times(outcome: dict[str, Any]) -> dict[str, Any]:
    """Say only whether an event has been completed or has failed, not when."""
    return outcome | {name: bool(outcome[name]) for name in ("completedAt", "failedAt")}


@pytest.mark.parametrize("name", EXCHANGES)
def test_an_example_request_gets_the_example_response(name: str) -> None:
    """They have one name, and the events of the examples are in the table."""
    operation = read("openapi.json")["paths"]["/v2/api/events/batch"]["patch"]
    request = operation["requestBody"]["content"]["application/json"]["examples"][name]["value"]
    response = operation["responses"]["200"]["content"]["application/json"]["examples"][name]
    message_id = operation["parameters"][0]["examples"][name]["value"]
    outcomes = settled(message_id, request, with_payload=True)
    answered = [without_times(outcome.to_dict()) for outcome in outcomes]
    assert answered == [without_times(outcome) for outcome in response["value"]]


@pytest.mark.parametrize("name", ["unknownStatus", "missingId"])
def test_an_example_of_a_bad_update_is_answered_as_updates_are(name: str) -> None:
    """By the place in the request and the text that the queue door has too."""
    refusal = REFUSALS[name]
    checked = [validate(update) for update in json.loads(refusal.body)]
    (place,) = (number for number, one in enumerate(checked) if isinstance(one, InvalidUpdate))
    bad = checked[place]
    assert isinstance(bad, InvalidUpdate)
    assert refusal.message == f"[{place}].{bad.error}"


IDENTIFIERS = (
    st.text(max_size=5)
    | st.sampled_from(["", "ev_1", "a\0b", "\0", "a\n", "\n", "😀" * 255, "😀" * 256])
    | st.integers(250, 260).map(lambda length: "i" * length)
    | st.none()
    | st.integers()
    | st.lists(st.text(max_size=1), max_size=1)
)
STATUSES = st.sampled_from(["completed", "failed", "done", "Completed", "failed\n", "", None, 1])
UPDATES = st.fixed_dictionaries(
    {},
    optional={"id": IDENTIFIERS, "status": STATUSES, "accountId": IDENTIFIERS, "more": st.none()},
)


@given(UPDATES | st.none() | st.text() | st.lists(st.none()))
def test_the_schema_accepts_what_the_service_accepts(update: Any) -> None:
    """And refuses what it refuses, so that a client can tell before it sends."""
    assert UPDATE_SCHEMA.is_valid(update) == isinstance(validate(update), StatusUpdate)


def sent_by_celery(**arguments: Any) -> dict[str, Any]:
    """Return what a stock client would lay into a list of Redis."""
    app = Celery(set_as_current=False)
    with (
        app.connection_for_write("memory://") as connection,
        app.amqp.Producer(connection) as producer,
    ):
        app.send_task(TASK, queue=QUEUE, producer=producer, **arguments)
        item: dict[str, Any] = json.loads(json.dumps(connection.default_channel._get(QUEUE)))
    return item


@pytest.mark.parametrize(
    "item",
    [
        pytest.param(lambda: json.loads(single(UPDATE).item()), id="the-producer-one"),
        pytest.param(lambda: json.loads(single(OTHER).item()), id="the-producer-one-of-account"),
        pytest.param(lambda: json.loads(bulk([UPDATE, OTHER]).item()), id="the-producer-several"),
        pytest.param(
            lambda: sent_by_celery(kwargs={"id": "ev_1", "status": "completed"}), id="celery-one"
        ),
        pytest.param(
            lambda: sent_by_celery(args=[[{"id": "ev_1", "status": "failed"}]], expires=60),
            id="celery-several-that-expire",
        ),
        pytest.param(
            lambda: sent_by_celery(
                kwargs={"id": "ev_1", "status": "failed"},
                countdown=5,
                headers={"sent_at": 1.5},
                task_id="mine",
            ),
            id="celery-delayed",
        ),
    ],
)
def test_what_clients_send_is_an_envelope(item: Any) -> None:
    """With a body and headers as described, in the dialects of both documents."""
    sent = item()
    validator(read("schemas/envelope.schema.json")).validate(sent)
    body = json.loads(b64decode(sent["body"]))
    validator(read("schemas/message.schema.json")).validate(body)
    channel = read("asyncapi.json")
    message = "/components/messages/StatusUpdates"
    validator(channel, f"{message}/payload").validate(body)
    validator(channel, f"{message}/headers").validate(sent["headers"])


def test_the_producers_headers_on_rabbitmq_are_as_described() -> None:
    """There they go beside the body, in no envelope."""
    headers = single(UPDATE).headers()
    validator(read("asyncapi.json"), "/components/schemas/MessageHeaders").validate(headers)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param([[], {}, {}], id="nothing"),
        pytest.param([[[]], {}, {}], id="no-update"),
        pytest.param([["ev_1", "completed"], {}, {}], id="positional"),
        pytest.param([[[{"id": "a", "status": "done"}]], {}, {}], id="bad-status"),
        pytest.param([[], {"id": "a", "status": "failed"}], id="no-embed"),
        pytest.param([[[{"id": "a", "status": "failed"}]] * 2, {}, {}], id="two-lists"),
        pytest.param([[[{"id": "a", "status": "failed"}] * 1_001], {}, {}], id="too-many"),
    ],
)
def test_a_body_that_is_not_valid_is_none_by_its_schema(body: Any) -> None:
    """In both dialects."""
    assert not validator(read("schemas/message.schema.json")).is_valid(body)
    assert not validator(read("asyncapi.json"), "/components/schemas/MessageBody").is_valid(body)


@pytest.mark.parametrize("with_payload", [False, True])
def test_every_kind_of_outcome_is_as_described(with_payload: bool) -> None:
    """Updated or not, for each reason, with and without a payload."""
    updates = [{"id": f"ev_{number}", "status": "failed"} for number in range(1, 6)]
    outcomes = settled("m", [*updates, {"id": "ev_1"}, 7], with_payload=with_payload)
    outcomes.append(invalid(None, None, None, "the body is not JSON"))
    assert {outcome.reason for outcome in outcomes} == {
        *(None, "already_completed", "already_failed", "not_found", "invalid")
    }
    for outcome in outcomes:
        OUTCOME_SCHEMA.validate(json.loads(outcome.to_json()))


def test_a_dead_letter_is_as_described() -> None:
    """Its entry, and the JSON in it."""
    updates = (validate({"id": "ev_1", "status": "done"}),)
    outcomes = [invalid("m", "ev_1", "done", "why")]
    delivery: dict[str, Any] = {
        "queue": QUEUE,
        "exchange": "",
        "redelivered": False,
        "deliveriesToDeadWorkers": 0,
    }
    letters = dead_letters([Message("m", updates)], [outcomes], [delivery])
    redis: Any = fakeredis.FakeRedis(decode_responses=True)
    with closing(redis) as client:
        OutcomePublisher(client, stream_max_length=10).publish(outcomes, letters)
        ((_, entry),) = client.xrange(DEAD_LETTERS)
        ((_, kept),) = client.xrange("event-outcomes")
    schema = read("schemas/dead-letter.schema.json")
    validator(schema).validate(entry)
    assert set(entry) == set(schema["properties"])
    validator(schema, "/properties/delivery/contentSchema").validate(json.loads(entry["delivery"]))
    validator(read("asyncapi.json"), "/components/schemas/OutcomeEntry").validate(kept)
