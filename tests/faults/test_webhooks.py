"""`settle webhooks` and its Redis, killed again and again while endpoints fail now and then."""

from __future__ import annotations

import random
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
import redis

from cli.embedded import Redis
from tests.service import eventually
from tests.started import started
from tests.webhooks import Receiver, Reply, Webhooks, accept, endpoint, has_group, publish

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.storms

ACCOUNTS = ("acct_1", "acct_2", "acct_3")
ROUNDS = 12


@pytest.fixture
def server() -> Iterator[Redis]:
    """Give a Redis that keeps what it was told, as the documentation asks for."""
    with started(lambda folder: Redis(folder, append_only=True)) as server:
        yield server


def identity(outcome: dict[str, Any]) -> str:
    """Return by what consumers tell outcomes apart."""
    return f"{outcome['messageId']}/{outcome['index']}"


def test_nothing_is_lost_overtaken_or_told_to_another(server: Redis, tmp_path: Path) -> None:
    """Each outcome comes to its account's endpoint, the first time in the order of the stream."""
    chance = random.Random(2)
    with Receiver() as receiver, closing(channel_of(server)) as channel:
        receiver.answer = lambda _: Reply(chance.choice((200, 200, 500, 503)))
        mine = [
            endpoint(name, receiver.url(f"/{name}"), accounts=[name], max_outcomes=25)
            for name in ACCOUNTS
        ]
        everything = endpoint("all", receiver.url("/all"), max_outcomes=50)
        settings = {"SETTLE_WEBHOOKS_TIMEOUT_SECONDS": "0.5"}
        with closing(Webhooks(tmp_path, server.url, *mine, everything, **settings)) as made:
            running = [made.start(), made.start()]
            eventually(lambda: has_group(channel))
            sent: dict[str, list[str]] = {name: [] for name in ACCOUNTS}
            for round_ in range(ROUNDS):
                for place in range(12):
                    account, message = chance.choice(ACCOUNTS), f"m_{round_}_{place}"
                    publish(
                        channel,
                        [f"ev_{chance.randrange(10)}" for _ in range(10)],
                        account=account,
                        message=message,
                    )
                    sent[account] += [f"{message}/{index}" for index in range(10)]
                if round_ % 3 == 2:
                    server.stop(immediate=True)
                    server.start()
                    eventually(lambda: answers(channel))
                else:
                    running.pop(chance.randrange(2)).kill()
                    running.append(made.start())
            receiver.answer = accept
            for name in ACCOUNTS:
                eventually(
                    lambda name=name: firsts(receiver, name) == sent[name],  # type: ignore[misc]
                    lambda: (made.standing(name), len(receiver.ids(f"/{name}"))),  # noqa: B023
                )
                assert {each["accountId"] for each in receiver.outcomes(f"/{name}")} == {name}
            every = [identity_ for name in ACCOUNTS for identity_ in sent[name]]
            eventually(lambda: sorted(firsts(receiver, "all")) == sorted(every))
            taken = firsts(receiver, "all")
            for name in ACCOUNTS:
                assert [one for one in taken if one in set(sent[name])] == sent[name]
        assert receiver.forged == []


def firsts(receiver: Receiver, name: str) -> list[str]:
    """Return the outcomes that an endpoint has taken, without repeated ones."""
    return list(dict.fromkeys(map(identity, receiver.outcomes(f"/{name}"))))


def channel_of(server: Redis) -> Any:
    """Return a way to write into the stream."""
    return redis.Redis.from_url(server.url, decode_responses=True)


def answers(channel: Any) -> bool:
    """Return whether a server is there again."""
    try:
        return bool(channel.ping())
    except redis.RedisError:
        return False
