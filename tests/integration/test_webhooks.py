"""`settle webhooks` on a real Redis, with real endpoints: what they get, when, in which order."""

from __future__ import annotations

import random
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import redis

from tests.oldest_redis import oldest_redis
from tests.service import eventually
from tests.webhooks import (
    OTHER_SECRET,
    SECRET,
    Receiver,
    Reply,
    Request,
    Webhooks,
    accept,
    closed_port,
    endpoint,
    has_group,
    publish,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.service import LoggedProcess

pytestmark = pytest.mark.storms


@pytest.fixture
def channel(redis_url: str) -> Iterator[Any]:
    """Give a way to write into an empty stream."""
    with closing(redis.Redis.from_url(redis_url, decode_responses=True)) as client:
        yield client


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Give an endpoint; in the end see that nothing forged was sent."""
    with Receiver() as receiver:
        yield receiver
        assert receiver.forged == []


@pytest.fixture
def webhooks(tmp_path: Path, redis_url: str, channel: Any) -> Iterator[Callable[..., Webhooks]]:
    """Give a way to start a process for some endpoints, which reads from then on."""
    all_of_them: list[Webhooks] = []

    def start(*endpoints: str, **settings: str) -> Webhooks:
        made = Webhooks(tmp_path, redis_url, *endpoints, **settings)
        all_of_them.append(made)
        made.start()
        eventually(lambda: has_group(channel))
        return made

    yield start
    for made in all_of_them:
        made.close()


def test_outcomes_are_pushed_signed_and_in_order(
    channel: Any, receiver: Receiver, webhooks: Callable[..., Webhooks]
) -> None:
    """To each endpoint those of its accounts; one of no account to who gets all."""
    webhooks(
        endpoint("one", receiver.url("/one"), accounts=["acct_1"]),
        endpoint("all", receiver.url("/all"), max_outcomes=7),
    )
    ids = [f"ev_{n}" for n in range(100)]
    for place, id_ in enumerate(ids):
        publish(channel, [id_], account=f"acct_{place % 2}" if place % 10 else None)  # type: ignore[arg-type]
    eventually(lambda: len(receiver.ids("/all")) == 100, lambda: receiver.requests)
    mine = [id_ for place, id_ in enumerate(ids) if place % 10 and place % 2]
    eventually(lambda: len(receiver.ids("/one")) == len(mine))
    assert receiver.ids("/all") == ids
    assert receiver.ids("/one") == mine
    assert all(
        len(request.outcomes) <= 7 for request in receiver.requests if request.path == "/all"
    )
    ids_of_requests = [request.headers["webhook-id"] for request in receiver.requests]
    assert len(set(ids_of_requests)) == len(ids_of_requests)


def test_what_is_refused_is_tried_again_under_the_same_id(
    channel: Any, receiver: Receiver, webhooks: Callable[..., Webhooks]
) -> None:
    """A busy endpoint gets the same batch until it takes it, and what came meanwhile behind it."""
    answers = iter([Reply(503), Reply(429), Reply(503)])
    receiver.answer = lambda _: next(answers, Reply())
    made = webhooks(endpoint("one", receiver.url()))
    publish(channel, ["ev_1", "ev_2"], message="m_1")
    eventually(lambda: len(receiver.requests) >= 2)
    publish(channel, ["ev_1"], message="m_2")
    eventually(lambda: len(receiver.ids()) == 3)
    assert receiver.ids() == ["ev_1", "ev_2", "ev_1"]
    first = receiver.requests[:4]
    assert len({request.headers["webhook-id"] for request in first}) == 1
    assert made.standing("one")["state"] == "delivering"
    assert made.standing("one")["delivered"] == 3


def test_both_secrets_sign_while_one_is_changed(
    channel: Any, webhooks: Callable[..., Webhooks]
) -> None:
    """A holder of the former and one of the new secret verify the same request."""
    with Receiver(secret=SECRET) as old, Receiver(secret=OTHER_SECRET) as new:
        both = [OTHER_SECRET, SECRET]
        webhooks(endpoint("old", old.url(), secrets=both), endpoint("new", new.url(), secrets=both))
        publish(channel, ["ev_1"])
        eventually(lambda: old.ids() == ["ev_1"] and new.ids() == ["ev_1"])
        assert old.forged == new.forged == []


@contextmanager
def misbehaving(receiver: Receiver, reply: Reply) -> Iterator[None]:
    """Let the path /bad misbehave, until the end."""
    receiver.answer = lambda request: reply if request.path == "/bad" else Reply()
    yield
    receiver.answer = accept
    receiver.released.set()


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        pytest.param(Reply(500), "it answered 500", id="an error"),
        pytest.param(Reply(None), "no answer in time", id="never"),
        pytest.param(Reply(500, raw=b"\x00garbage\r\n\r\n" * 9), "no HTTP", id="garbage"),
        pytest.param(
            Reply(302, {"Location": "/elsewhere"}), "a redirect is not followed", id="a redirect"
        ),
        pytest.param(Reply(500, body=b"x" * 50_000_000), "it answered 500", id="a huge body"),
        pytest.param(
            Reply(500, raw=b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1_000_000),
            "no HTTP",
            id="a huge head",
        ),
    ],
)
def test_an_endpoint_that_misbehaves_holds_up_no_other_and_loses_nothing(
    channel: Any, receiver: Receiver, webhooks: Callable[..., Webhooks], reply: Reply, error: str
) -> None:
    """Others are served meanwhile; what it did is said; when it works again it gets all of it."""
    made = webhooks(endpoint("bad", receiver.url("/bad")), endpoint("good", receiver.url("/good")))
    with misbehaving(receiver, reply):
        publish(channel, ["ev_1", "ev_2"])
        eventually(lambda: len(receiver.ids("/good")) == 2)
        eventually(lambda: made.standing("bad")["failures"] > 1)
        publish(channel, ["ev_3"])
        eventually(lambda: len(receiver.ids("/good")) == 3)
        assert error in made.standing("bad")["error"]
        assert made.standing("bad")["waiting"] == 3
    eventually(
        lambda: len(receiver.ids("/bad")) == 3,
        lambda: (made.standing("bad"), receiver.ids("/bad"), made.started[0].log.read_text()),
    )
    assert receiver.ids("/bad") == ["ev_1", "ev_2", "ev_3"]
    assert not [request for request in receiver.requests if request.path == "/elsewhere"]


def test_an_answer_whose_body_never_ends_is_an_answer(
    channel: Any, receiver: Receiver, webhooks: Callable[..., Webhooks]
) -> None:
    """Its status counts, and no more of it is waited for."""
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nx"
    receiver.answer = lambda _: Reply(raw=raw)
    webhooks(endpoint("one", receiver.url()))
    publish(channel, ["ev_1"])
    publish(channel, ["ev_2"])
    eventually(lambda: receiver.ids() == ["ev_1", "ev_2"], receiver.ids)


def test_nobody_listens_and_then_somebody_does(
    channel: Any, webhooks: Callable[..., Webhooks]
) -> None:
    """The file is read again when it changes, and what waits goes where it says then."""
    made = webhooks(endpoint("one", f"http://127.0.0.1:{closed_port()}/"))
    publish(channel, ["ev_1"])
    eventually(lambda: made.standing("one")["failures"] > 0)
    assert "no connection" in made.standing("one")["error"]
    with Receiver() as receiver:
        made.write(endpoint("one", receiver.url()))
        eventually(lambda: receiver.ids() == ["ev_1"])


def test_one_that_is_gone_is_disabled_at_once_until_a_person_says_otherwise(
    channel: Any, receiver: Receiver, webhooks: Callable[..., Webhooks]
) -> None:
    """410 Gone: nothing more is sent; all of it waits, and goes out in order when it is enabled."""
    receiver.answer = lambda _: Reply(410)
    made = webhooks(endpoint("one", receiver.url()))
    publish(channel, ["ev_1"])
    eventually(lambda: made.standing("one")["state"] == "disabled")
    made.started[0].wait_for_log("endpoint disabled")
    receiver.answer = accept
    publish(channel, ["ev_2", "ev_3"])
    eventually(lambda: made.standing("one")["waiting"] == 3)
    assert len(receiver.requests) == 1
    shown = made.do("list")
    assert "410 Gone" in shown
    assert "settle webhooks enable one" in shown
    assert "3 outcomes wait" in made.do("enable", "one")
    eventually(lambda: receiver.ids() == ["ev_1", "ev_2", "ev_3"], receiver.ids)


@pytest.mark.parametrize("status", [503, 500])
def test_one_that_fails_for_days_is_disabled(
    channel: Any, receiver: Receiver, webhooks: Callable[..., Webhooks], status: int
) -> None:
    """After the setting's days without a request that it took; and nothing is lost by it."""
    receiver.answer = lambda _: Reply(status)
    made = webhooks(
        endpoint("one", receiver.url()), SETTLE_WEBHOOKS_DISABLE_AFTER_DAYS=str(2 / 86_400)
    )
    publish(channel, ["ev_1", "ev_2"])
    eventually(lambda: made.standing("one")["state"] == "disabled")
    made.started[0].wait_for_log("endpoint disabled")
    assert made.standing("one")["waiting"] == 2


def test_one_outcome_that_is_refused_is_set_aside_and_others_go_on(
    channel: Any, receiver: Receiver, webhooks: Callable[..., Webhooks]
) -> None:
    """Found by smaller and smaller batches; kept for a person, and sent again when told to."""

    def refuse(request: Request) -> Reply:
        return Reply(400 if "ev_7" in [each["id"] for each in request.outcomes] else 200)

    receiver.answer = refuse
    made = webhooks(endpoint("one", receiver.url()))
    ids = [f"ev_{n}" for n in range(20)]
    publish(channel, ids)
    eventually(lambda: len(receiver.ids()) == 19, lambda: made.standing("one"))
    assert sorted(receiver.ids()) == sorted({*ids} - {"ev_7"})
    eventually(lambda: made.standing("one")["kept"] == 1)
    assert '"reason": "refused"' in made.do("kept", "one")
    receiver.answer = accept
    assert made.do("replay", "one") == "1 outcomes are sent to one again.\n"
    eventually(lambda: receiver.ids()[-1] == "ev_7")
    assert made.standing("one")["kept"] == 0


def test_several_that_are_refused_in_a_row_are_set_aside(
    channel: Any, receiver: Receiver, webhooks: Callable[..., Webhooks]
) -> None:
    """Though the next one, with which it might be compared, is refused too."""
    wrong = [f"bad_{n}" for n in range(3)]
    receiver.answer = lambda request: Reply(
        400 if {each["id"] for each in request.outcomes} & {*wrong} else 200
    )
    made = webhooks(endpoint("one", receiver.url(), accounts=["acct_1"]))
    right = [f"ev_{n}" for n in range(5)]
    publish(channel, [*wrong, *right])
    eventually(lambda: made.standing("one")["kept"] == 3, lambda: made.standing("one"))
    eventually(lambda: sorted(receiver.ids()) == right, receiver.ids)
    assert made.standing("one")["waiting"] == 0


def test_what_there_is_no_room_for_is_set_aside_oldest_first(
    channel: Any, receiver: Receiver, webhooks: Callable[..., Webhooks]
) -> None:
    """A queue that is full stays so, however much comes; as much again is kept aside."""
    receiver.answer = lambda _: Reply(410)
    made = webhooks(endpoint("one", receiver.url()), SETTLE_WEBHOOKS_QUEUE_MAX_LENGTH="10")
    ids = [f"ev_{n}" for n in range(15)]
    publish(channel, ids[:1])
    eventually(lambda: made.standing("one")["state"] == "disabled")
    for id_ in ids[1:]:
        publish(channel, [id_])
    eventually(lambda: made.standing("one")["kept"] == 5, lambda: made.standing("one"))
    assert made.standing("one")["waiting"] == 10
    receiver.answer = accept
    made.do("enable", "one")
    eventually(lambda: receiver.ids() == ids[5:], receiver.ids)
    assert made.do("drop", "one", "--yes") == "5 outcomes are forgotten.\n"
    assert made.standing("one")["kept"] == 0


def test_what_waits_outlives_the_stream(
    channel: Any, receiver: Receiver, webhooks: Callable[..., Webhooks]
) -> None:
    """What an endpoint has not taken yet is there though the stream was trimmed to nothing."""
    receiver.answer = lambda _: Reply(503)
    made = webhooks(endpoint("one", receiver.url()))
    publish(channel, ["ev_1", "ev_2"])
    eventually(lambda: made.standing("one")["waiting"] == 2)
    channel.xtrim("event-outcomes", maxlen=0, approximate=False)
    receiver.answer = accept
    eventually(lambda: receiver.ids() == ["ev_1", "ev_2"])


def test_what_is_trimmed_before_it_is_read_is_said(
    channel: Any, receiver: Receiver, webhooks: Callable[..., Webhooks]
) -> None:
    """With how much it was, and what keeps it from happening."""
    made = webhooks(endpoint("one", receiver.url()))
    made.started[0].kill()
    publish(channel, ["ev_1", "ev_2", "ev_3"])
    channel.xtrim("event-outcomes", maxlen=1, approximate=False)
    log = made.start().log
    eventually(lambda: receiver.ids() == ["ev_3"])
    assert '"outcomes": 2' in log.read_text()
    assert "SETTLE_OUTCOME_KEEP_FOR_GROUPS" in log.read_text()


def test_a_private_address_is_refused(
    channel: Any, receiver: Receiver, webhooks: Callable[..., Webhooks]
) -> None:
    """Also by a name that leads there; unless a setting allows its network."""
    made = webhooks(
        endpoint("name", f"https://localhost:{receiver.port}/"),
        endpoint("number", f"https://127.0.0.1:{receiver.port}/"),
        endpoint("clear", receiver.url()),
        SETTLE_WEBHOOKS_ALLOWED_NETWORKS="10.0.0.0/8",
    )
    publish(channel, ["ev_1"])
    for name in ("name", "number", "clear"):
        eventually(lambda name=name: made.standing(name)["failures"] > 0)  # type: ignore[misc]
        assert "may not be connected to" in made.standing(name)["error"]
    assert receiver.requests == []


def test_retry_after_is_heeded(
    channel: Any, receiver: Receiver, webhooks: Callable[..., Webhooks]
) -> None:
    """An endpoint that asks for an hour is not asked again for an hour."""
    receiver.answer = lambda _: Reply(429, {"Retry-After": "3600"})
    webhooks(endpoint("one", receiver.url()))
    publish(channel, ["ev_1"])
    eventually(lambda: bool(channel.zcard("event-outcomes.webhooks.retries")))
    eventually(lambda: not channel.hexists("event-outcomes.webhooks.state:one", "lease"))
    ((_, due),) = channel.zrange("event-outcomes.webhooks.retries", 0, -1, withscores=True)
    seconds, _ = channel.time()
    assert due / 1_000 - seconds > 3_500
    assert len(receiver.requests) == 1


def test_anything_in_the_stream_is_pushed(
    channel: Any, receiver: Receiver, webhooks: Callable[..., Webhooks]
) -> None:
    """What is no outcome as this version knows them goes to who gets all, and stops nobody."""
    webhooks(endpoint("all", receiver.url()))
    channel.xadd("event-outcomes", {"outcome": "no JSON"})
    channel.xadd("event-outcomes", {"other": "x"})
    publish(channel, ["ev_1"])
    eventually(lambda: sum(len(request.outcomes) for request in receiver.requests) == 3)
    found: list[Any] = [each for request in receiver.requests for each in request.outcomes]
    assert found[:2] == ["no JSON", {"other": "x"}]


def test_an_account_that_is_taken_from_an_endpoint_is_so_at_once(
    channel: Any, receiver: Receiver, webhooks: Callable[..., Webhooks]
) -> None:
    """What waits for the endpoint by then is sent to nobody, and what is of others goes on."""
    receiver.answer = lambda _: Reply(503)
    made = webhooks(endpoint("one", receiver.url(), accounts=["acct_1", "acct_2"]))
    publish(channel, ["ev_1"], account="acct_1")
    publish(channel, ["ev_2"], account="acct_2")
    eventually(lambda: made.standing("one")["waiting"] == 2)
    made.write(endpoint("one", receiver.url(), accounts=["acct_2"]))
    publish(channel, ["ev_3"], account="acct_2")
    made.started[0].wait_for_log("endpoints read again")
    # One request may have been under way by then.
    seen = len(receiver.requests)
    eventually(lambda: len(receiver.requests) >= seen + 2)
    receiver.answer = accept
    eventually(lambda: made.standing("one")["waiting"] == 0)
    assert receiver.ids() == ["ev_2", "ev_3"]


def test_as_cloudevents(
    channel: Any, receiver: Receiver, webhooks: Callable[..., Webhooks]
) -> None:
    """A JSON batch of CloudEvents 1.0, for an endpoint that has chosen so."""
    webhooks(endpoint("one", receiver.url(), format="cloudevents"))
    publish(channel, ["ev_1"], message="m_1")
    eventually(lambda: receiver.ids() == ["ev_1"])
    (request,) = receiver.requests
    (event,) = request.body
    assert event["data"]["messageId"] == "m_1"
    assert {**event, "data": 0, "time": 0} == {
        "specversion": "1.0",
        "id": "m_1/0",
        "source": "/v2/api/events",
        "type": "settle.event.outcome",
        "subject": "ev_1",
        "time": 0,
        "datacontenttype": "application/json",
        "data": 0,
    }


def test_several_processes_share_the_work_and_repeat_nothing(
    channel: Any, receiver: Receiver, webhooks: Callable[..., Webhooks]
) -> None:
    """As long as nobody dies each outcome comes once, in order, whoever routes and delivers."""
    names = [f"e{number}" for number in range(4)]
    made = webhooks(
        *(endpoint(name, receiver.url(f"/{name}"), max_outcomes=5) for name in names),
        SETTLE_WEBHOOKS_TIMEOUT_SECONDS="10",
    )
    made.start()
    made.start()
    ids = [f"ev_{number}" for number in range(1_500)]
    for id_ in ids:
        # One by one, as workers do: whatever would get out of order has its chance.
        publish(channel, [id_])
    for name in names:
        eventually(lambda name=name: len(receiver.ids(f"/{name}")) >= len(ids))  # type: ignore[misc]
        assert receiver.ids(f"/{name}") == ids


def test_several_processes_killed_again_and_again_lose_nothing_and_keep_the_order(
    channel: Any, receiver: Receiver, webhooks: Callable[..., Webhooks]
) -> None:
    """Each outcome comes at least once, the first time in order, and to its account alone."""
    chance = random.Random(1)
    receiver.answer = lambda _: Reply(chance.choice((200, 200, 200, 500, 503)))
    mine = endpoint("one", receiver.url("/one"), accounts=["acct_1"], max_outcomes=20)
    other = endpoint("two", receiver.url("/two"), accounts=["acct_2"], max_outcomes=20)
    made = webhooks(mine, other, SETTLE_WEBHOOKS_TIMEOUT_SECONDS="0.5")
    made.start()
    running: list[LoggedProcess] = list(made.started)
    sent: list[str] = []
    for round_ in range(8):
        for _ in range(10):
            batch = [f"ev_{chance.randrange(15)}" for _ in range(10)]
            message = f"m_{round_}_{len(sent)}"
            publish(channel, batch, account="acct_1", message=message)
            publish(channel, [f"other_{len(sent)}"], account="acct_2")
            sent += [f"{message}/{place}" for place in range(10)]
        victim = running.pop(chance.randrange(len(running)))
        victim.kill()
        running.append(made.start())
    receiver.answer = accept
    eventually(lambda: firsts(receiver) == sent, lambda: made.standing("one"))
    eventually(lambda: len(set(receiver.ids("/two"))) == 80)
    assert {each["accountId"] for each in receiver.outcomes("/one")} == {"acct_1"}
    assert {each["accountId"] for each in receiver.outcomes("/two")} == {"acct_2"}


def firsts(receiver: Receiver) -> list[str]:
    """Return what an endpoint has taken, without what was repeated."""
    taken = receiver.outcomes("/one")
    return list(dict.fromkeys(f"{each['messageId']}/{each['index']}" for each in taken))


def test_a_redis_that_is_full_is_drained(
    channel: Any, receiver: Receiver, webhooks: Callable[..., Webhooks]
) -> None:
    """What is delivered makes room, so it is delivered although nothing else may be written."""
    receiver.answer = lambda _: Reply(503)
    made = webhooks(endpoint("one", receiver.url()))
    publish(channel, ["ev_1", "ev_2", "ev_3"])
    eventually(lambda: made.standing("one")["waiting"] == 3)
    channel.config_set("maxmemory", 1)
    try:
        with pytest.raises(redis.OutOfMemoryError):
            channel.set("any", "thing")
        receiver.answer = accept
        eventually(lambda: made.standing("one")["waiting"] == 0, lambda: made.standing("one"))
        assert receiver.ids() == ["ev_1", "ev_2", "ev_3"]
    finally:
        channel.config_set("maxmemory", 0)


def test_a_redis_that_is_full_is_not_filled_further(
    channel: Any, receiver: Receiver, webhooks: Callable[..., Webhooks]
) -> None:
    """At its memory limit nothing is copied into queues; it is when there is room again."""
    made = webhooks(endpoint("one", receiver.url()))
    with channel.pipeline(transaction=True) as pipe:
        pipe.xadd("event-outcomes", {"outcome": '{"id": "ev_1", "accountId": "acct_1"}'})
        pipe.config_set("maxmemory", 1)
        pipe.execute()
    try:
        made.started[0].wait_for_log("outcomes cannot be read")
        assert made.standing("one")["waiting"] == 0
        assert receiver.requests == []
    finally:
        channel.config_set("maxmemory", 0)
    eventually(lambda: receiver.ids() == ["ev_1"])


@pytest.mark.parametrize("status", [410, 503], ids=["disabled", "failing"])
def test_what_waits_for_an_endpoint_that_was_taken_out_is_listed(
    channel: Any, receiver: Receiver, webhooks: Callable[..., Webhooks], status: int
) -> None:
    """However it stood, until it is dropped."""
    receiver.answer = lambda _: Reply(status)
    made = webhooks(endpoint("one", receiver.url()))
    publish(channel, ["ev_1"])
    eventually(lambda: made.standing("one")["failures"] > 0)
    made.write(endpoint("two", receiver.url("/two")))
    shown = made.do("list")
    assert "one: " in shown
    assert "not in the file: settle webhooks drop one forgets it" in shown
    assert made.do("kept", "one") == ""
    assert "1 outcomes are forgotten" in made.do("drop", "one", "--yes")
    assert "one: " not in made.do("list")
    for command in ("drop", "kept", "enable"):
        refused = made.run(command, "one")
        assert (refused.returncode, refused.stderr) == (
            2,
            "one: there is no such endpoint; there are: two\n",
        )


def test_on_the_oldest_redis_it_is_the_same(receiver: Receiver, tmp_path: Path) -> None:
    """Refused and taken, in order, on 6.2."""
    ids = [f"ev_{number}" for number in range(50)]
    receiver.answer = lambda _: Reply(200 if len(receiver.requests) > 3 else 500)
    with (
        oldest_redis() as server,
        closing(redis.Redis.from_url(server.url, decode_responses=True)) as channel,
        closing(Webhooks(tmp_path, server.url, endpoint("one", receiver.url()))) as made,
    ):
        made.start()
        eventually(lambda: has_group(channel))
        publish(channel, ids)
        eventually(lambda: len(receiver.ids()) == len(ids))
        assert receiver.ids() == ids
