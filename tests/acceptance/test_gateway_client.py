"""The client over HTTP, by either face, before a real gateway."""

from __future__ import annotations

import math
import threading
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest

from settle_client import (
    ConflictError,
    Event,
    GoneError,
    InvalidUpdateError,
    NotFoundError,
    RefusedError,
    SettleError,
    StatusUpdate,
)
from tests import faces
from tests.accounts import CannotCreateUsersError, creating_role
from tests.gateway import Gateways, new_key, statuses
from tests.listening import outcome, publish
from tests.service import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.gateway import Gateway
    from tests.service import Service

face = faces.face

NOW = datetime.now(UTC)
IDS = [f"ev_{number:02}" for number in range(25)]


@pytest.fixture(autouse=True)
def service(emptied_service: Service) -> Service:
    """Give what all of these tests share, with 25 pending events."""
    emptied_service.load(*IDS)
    return emptied_service


@pytest.fixture(scope="module")
def gateway(lasting_service: Service) -> Iterator[Gateway]:
    """Give the gateway that they share, of a role that may create events."""
    with ExitStack() as stack:
        try:
            url = stack.enter_context(creating_role(lasting_service.database_url))
        except CannotCreateUsersError as error:
            pytest.skip(str(error))
        gateways = stack.enter_context(closing(Gateways(lasting_service, url)))
        yield gateways.start(CELERY_BROKER_URL=lasting_service.users.producer)


@pytest.fixture
def client(face: Any, gateway: Gateway) -> Iterator[Any]:
    """Give a client of it."""
    with closing(face.http_client(gateway.url)) as client:
        # As it knows, once it has looked again.
        eventually(lambda: client.position() == "0-0")
        yield client


def new_event(id_: str, **others: Any) -> dict[str, Any]:
    """Make an event to create."""
    return {"id": id_, "accountId": "acct_1", "eventType": "made", "payload": {"n": [1]}, **others}


def test_events_are_listed_from_one_page_to_the_next(client: Any) -> None:
    """As they are: those that are pending all the while once, though others are settled."""
    seen = []
    for event in client.list_events(status="pending", page_size=5):
        seen.append(event.id)
        if event.id.endswith(("0", "5")):
            client.settle({"id": event.id, "status": "completed"})
    assert seen == IDS
    assert [event.id for event in client.list_events(status="completed")] == [
        id_ for id_ in IDS if id_.endswith(("0", "5"))
    ]


def test_a_list_may_be_left(client: Any) -> None:
    """And asks for no more than it was read."""
    events = client.list_events(page_size=2)
    assert [event.id for event in islice(events, 3)] == IDS[:3]
    events.close()


def test_events_are_listed_by_their_filters(client: Any) -> None:
    """Each as it is called in Python; a time is one of Python's, in any zone."""
    hour = timedelta(hours=1)
    now = datetime.now(UTC)
    client.create_events([new_event("other", accountId="acct_2", createdAt=now - 2 * hour)])
    for filters, expected in (
        ({"event_type": "made"}, ["other"]),
        ({"account_id": "acct_2"}, ["other"]),
        ({"created_before": now - hour}, ["other"]),
        ({"created_before": (now - hour).isoformat()}, ["other"]),
        ({"created_after": now - hour, "account_id": "acct_2"}, []),
        ({"status": "failed"}, []),
    ):
        assert [event.id for event in client.list_events(**filters)] == expected
        assert [event.id for event in client.list_page(**filters).events] == expected


def test_a_page_says_where_the_next_begins(client: Any) -> None:
    """Counted, or from where the one before has ended; the last says nothing."""
    first = client.list_page(page_size=10)
    assert [event.id for event in first.events] == IDS[:10]
    assert (
        client.list_page(page_size=10, page=2).events
        == client.list_page(page_size=10, after=first.after).events
    )
    last = client.list_page(page_size=10, page=3)
    assert ([event.id for event in last.events], last.after) == (IDS[20:], None)


@pytest.mark.parametrize("id_", ["ev/1 ?%#ü", "..", ".", "a\nb", "ev_1/", "http://other/"])
def test_an_event_of_any_id_is_created_and_looked_at(client: Any, id_: str) -> None:
    """Whatever a path would make of it."""
    (created,) = client.create_events([new_event(id_)])
    assert (created.id, created.created, created.payload) == (id_, True, {"n": [1]})
    event = client.get_event(id_)
    assert (event.id, event.account_id, event.event_type) == (id_, "acct_1", "made")
    assert event.created_at == created.created_at
    assert client.settle(StatusUpdate(id_, "failed")).updated
    assert client.get_event(id_).failed_at is not None


def test_events_are_created_once(client: Any) -> None:
    """What was there is shown, what is another's says so, and what was read can be sent."""
    event = client.get_event("ev_00")
    new, there, taken = client.create_events([new_event("new"), event, new_event("ev_01")])
    assert (new.created, there.created, taken.created) == (True, False, False)
    assert (there.created_at, taken.created_at) == (event.created_at, None)
    assert taken.error.status_code == 409
    with pytest.raises(RefusedError, match=r"400 Bad Request: .*1 to 1,000 events") as raised:
        client.create_events([new_event(str(number)) for number in range(1_001)])
    assert raised.value.problem is not None
    assert raised.value.problem.status_code == 400
    with pytest.raises(RefusedError, match=r"\[1\].payload: must be an object"):
        client.create_events([new_event("a"), new_event("b", payload=[])])


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (new_event("a", payload={"n": [{"m": math.nan}]}), "NaN or infinite"),
        (Event("acct", None, NOW, "t", None, "a", {"n": -math.inf}), "NaN or infinite"),
        (new_event("a", payload={"n": object()}), "cannot be written as JSON"),
        (new_event("\ud800"), "cannot be written as JSON"),
        (new_event("a", createdAt=NOW.replace(tzinfo=None)), r"createdAt: must be a time with its"),
        ("ev_1", "must be an Event or a mapping"),
    ],
    ids=["nan", "infinite", "object", "surrogate", "no zone", "text"],
)
def test_what_json_cannot_say_is_not_created_as_something_else(
    client: Any, event: Any, message: str
) -> None:
    """Nothing is sent; the place is named."""
    with pytest.raises(InvalidUpdateError, match=rf"^\[1\].*{message}"):
        client.create_events([new_event("b"), event])
    with pytest.raises(NotFoundError):
        client.get_event("b")


def test_a_time_without_a_zone_is_no_filter(client: Any) -> None:
    """It would be taken for one of this machine's."""
    with pytest.raises(InvalidUpdateError, match="created_after: must be a time with its zone"):
        next(client.list_events(created_after=NOW.replace(tzinfo=None)))


def test_a_position_that_cannot_be_sent_is_said(client: Any) -> None:
    """As where a line break was written behind it, or something else."""
    for since in ("1-0\n", "ß"):
        with pytest.raises(SettleError, match="this cannot be sent"):
            next(client.listen(since))


def test_one_event_is_settled(service: Service, client: Any) -> None:
    """Once: another message is told so, the same has its answer again."""
    outcome = client.settle({"id": "ev_00", "status": "completed"}, message_id="once")
    assert (outcome.updated, outcome.message_id, outcome.payload) == (True, "once", {"a": 1})
    again = client.settle({"id": "ev_00", "status": "completed"}, message_id="once")
    assert again == outcome
    with pytest.raises(ConflictError, match="409 Conflict: the event is completed already") as told:
        client.settle({"id": "ev_00", "status": "failed"})
    assert told.value.problem is not None
    assert told.value.problem.error == "Conflict"
    with pytest.raises(NotFoundError, match="404 Not Found: there is no such event"):
        client.settle({"id": "nobody", "status": "failed"})
    assert statuses(service, "ev_00") == ["completed"]


def test_events_are_settled_together(client: Any) -> None:
    """With an outcome for each update, in their order, whatever became of it."""
    client.settle({"id": "ev_01", "status": "failed"})
    updates = [{"id": id_, "status": "completed"} for id_ in ("ev_00", "ev_01", "nobody")]
    outcomes = client.settle_together(updates, message_id="m")
    assert [one.reason for one in outcomes] == [None, "already_failed", "not_found"]
    assert [one.index for one in outcomes] == [0, 1, 2]
    assert {one.message_id for one in outcomes} == {"m"}
    assert outcomes[0].completed_at is not None
    assert outcomes[0].completed_at.tzinfo is not None


def test_what_is_not_valid_is_not_sent(service: Service, client: Any) -> None:
    """The text names the place and the field."""
    updates = [{"id": "ev_00", "status": "completed"}, {"id": "ev_01", "status": "done"}]
    for method in ("settle_together", "settle_later"):
        with pytest.raises(InvalidUpdateError, match=r"\[1\].status: must be"):
            getattr(client, method)(updates)
    with pytest.raises(InvalidUpdateError, match="status: must be"):
        client.settle(updates[1])
    for id_ in ("", "x" * 256, "\ud800"):
        with pytest.raises(InvalidUpdateError, match="id: must"):
            client.get_event(id_)
    for message_id in ("", "a b", "ü", "a\nb", "x" * 256):
        with pytest.raises(InvalidUpdateError, match="message_id: must be 1 to 255 visible"):
            next(client.wait(message_id, timeout_seconds=1))
        with pytest.raises(InvalidUpdateError, match="message_id: must be 1 to 255 visible"):
            client.settle(updates[0], message_id=message_id)
    assert statuses(service, "ev_00") == [None]
    with pytest.raises(RefusedError, match="1 to 1000 updates, this one 0") as told:
        client.settle_together([])
    assert told.value.message_id is not None


def test_a_payload_that_python_cannot_hold_is_text(service: Service, client: Any) -> None:
    """And hides nothing that stands beside it, in whatever answer."""
    number = "9" * 5_000
    with service.database.engine.begin() as owner:
        owner.exec_driver_sql(
            "UPDATE events SET payload = %s::jsonb WHERE id = 'ev_01'", (f'{{"n": {number}}}',)
        )
    expected = f'{{"n": {number}}}'
    events = list(client.list_events(page_size=3))
    assert [event.id for event in events] == IDS
    assert events[1].payload == expected
    assert client.get_event("ev_01").payload == expected
    updates = [{"id": id_, "status": "completed"} for id_ in IDS[:3]]
    outcomes = client.settle_together(updates, message_id="m")
    assert [one.updated for one in outcomes] == [True] * 3
    assert (outcomes[1].payload, outcomes[2].payload) == (expected, {"a": 1})
    assert client.settle(updates[1], message_id="m").payload == expected


def test_outcomes_are_listened_to(client: Any) -> None:
    """From the moment when the listener is told so on; each says where to go on."""
    heard = client.listen()
    begin, nothing = next(heard)
    assert nothing is None
    client.settle({"id": "ev_00", "status": "completed"}, message_id="m")
    client.settle({"id": "ev_01", "status": "failed"})
    first, second = islice((step for step in heard if step[1]), 2)
    heard.close()
    assert (first[1].id, first[1].message_id, second[1].id) == ("ev_00", "m", "ev_01")
    assert begin < first[0] < second[0]
    assert client.position() == second[0]
    later = client.listen(first[0])
    assert next(later) == second
    later.close()


def test_outcomes_are_listened_to_by_message_and_reason(client: Any) -> None:
    """And without these, all there are."""
    since = client.position()
    for id_ in ("ev_00", "nobody"):
        client.settle_together([{"id": id_, "status": "completed"}], message_id=f"m {id_}"[2:])
    for filters, expected in (
        ({}, ["ev_00", "nobody"]),
        ({"message_id": "nobody"}, ["nobody"]),
        ({"reasons": ["updated", "already_failed"]}, ["ev_00"]),
    ):
        with closing(client.listen(since, **filters)) as heard:
            outcomes = (one for _, one in heard if one)
            assert [one.id for one in islice(outcomes, len(expected))] == expected
        page = client.poll(since, **filters)
        assert [one.id for one in page.outcomes] == expected
        assert page.after == client.position()


def test_a_poll_waits_for_the_first_outcome(service: Service, client: Any) -> None:
    """Then it comes with it; without any, empty, from where it was asked."""
    since = client.position()
    assert client.poll(since, wait_seconds=1) == ([], since)
    publishing = threading.Timer(0.3, publish, (service, outcome("ev_1")))
    publishing.start()
    page = client.poll(since, wait_seconds=60)
    publishing.join()
    assert [one.id for one in page.outcomes] == ["ev_1"]


def test_what_was_trimmed_is_an_error_that_says_where_to_begin(
    service: Service, client: Any
) -> None:
    """For who listens and who polls; from there nothing more is missing."""
    positions = publish(service, *(outcome(f"ev_{number}") for number in range(5)))
    service.channel.xtrim("event-outcomes", maxlen=2, approximate=False)
    with pytest.raises(GoneError, match="410 Gone: ") as told:
        next(client.listen(positions[0]))
    assert told.value.begin == "oldest"
    with pytest.raises(GoneError) as told:
        client.poll(positions[0])
    assert [one.id for one in client.poll(told.value.begin).outcomes] == ["ev_3", "ev_4"]
    with closing(client.listen(told.value.begin)) as heard:
        assert [one.id for _, one in islice(heard, 2)] == ["ev_3", "ev_4"]


def test_what_is_asked_for_wrongly_is_refused(client: Any) -> None:
    """With what the gateway says of it."""
    asked: tuple[tuple[Callable[[], Any], str], ...] = (
        (lambda: client.list_page(page_size=1_001), "pageSize: must be a whole number"),
        (lambda: client.list_page(after="x"), "after: must be taken as it is"),
        (lambda: next(client.list_events(status="done")), "status: must be pending"),
        (lambda: client.poll("yesterday"), "after: must be"),
        (lambda: next(client.listen("yesterday")), "Last-Event-ID: must be"),
    )
    for ask, message in asked:
        with pytest.raises(RefusedError, match=f"400 Bad Request: {message}"):
            ask()


def test_a_message_is_answered_later(service: Service, client: Any) -> None:
    """Its outcomes are waited for, and come as there are any."""
    updates = [{"id": id_, "status": "completed"} for id_ in ("ev_00", "nobody", "ev_01")]
    message_id = client.settle_later(updates, message_id="../..x")
    with pytest.raises(TimeoutError, match=r"no outcome for 3 of the updates within 3 s"):
        list(client.wait(message_id, timeout_seconds=3))
    worker = service.start_worker()
    outcomes = list(client.wait(message_id, timeout_seconds=60))
    assert [one.reason for one in outcomes] == [None, "not_found", None]
    assert {one.message_id for one in outcomes} == {message_id}
    assert client.settle_later(updates, message_id=message_id) == message_id
    with pytest.raises(ConflictError, match="409 Conflict: Idempotency-Key: is that") as told:
        client.settle_later(updates[:1], message_id=message_id)
    assert told.value.message_id == message_id
    with pytest.raises(NotFoundError, match="404 Not Found: there is no such message"):
        next(client.wait("never", timeout_seconds=10))
    worker.stop()


def test_a_key_opens_its_accounts_alone(face: Any, service: Service, gateways: Gateways) -> None:
    """Whoever has none, or another, is refused by every call."""
    token, text = new_key("shop", "--account", "acct_2")
    keys = service.folder / "keys.toml"
    keys.write_text(text)
    url = gateways.start(SETTLE_GATEWAY_KEYS_FILE=str(keys)).url
    service.load("mine", account="acct_2")
    with closing(face.http_client(url, api_key=token)) as client:
        assert [event.id for event in client.list_events()] == ["mine"]
        heard = client.listen()
        next(heard)
        outcomes = client.settle_together(
            [{"id": id_, "status": "failed"} for id_ in ("ev_00", "mine")]
        )
        assert [one.reason for one in outcomes] == ["not_found", None]
        assert next(one for _, one in heard if one).id == "mine"
        heard.close()
    for key in (None, token[:-1]):
        with closing(face.http_client(url, api_key=key)) as client:
            for ask in (
                *(client.position, client.list_page, lambda: next(client.listen())),
                lambda: client.settle({"id": "mine", "status": "failed"}),
                lambda: next(client.wait("m", timeout_seconds=10)),
            ):
                with pytest.raises(RefusedError, match="401 Unauthorized: Authorization: ") as told:
                    ask()
                assert token not in str(told.value)
