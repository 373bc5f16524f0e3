"""What the page says of dead letters, and what it does with them."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import fakeredis
import pytest
import redis

from cli.page import letters as page
from cli.page.application import make_application
from cli.page.letters import KINDS_SHOWN, LETTERS_SHOWN, MAX_RAW, MAX_REASON, Done
from service.settings import Settings
from settle_client.errors import SettleError
from settle_client.names import DEAD_LETTERS
from tasks.dead_letters import DeadLetters, KeptLetter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from settle_client.envelope import Envelope
    from tasks.latest_letters import LatestLetters

SETTINGS = Settings(broker_url="redis://nowhere")


def letter(number: int, reason: str, raw: str = "") -> KeptLetter:
    """Make a letter."""
    return KeptLetter(f"{number}-0", f"m{number}", reason, f"time {number}", {}, raw, 0)


def described(*newest_first: KeptLetter, kept: int = 0) -> dict[str, Any]:
    """Describe letters."""
    latest = SimpleNamespace(letters=newest_first, kept=kept)
    return page.describe(cast("LatestLetters", latest))


@pytest.fixture
def client() -> Iterator[Any]:
    """Give an empty Redis."""
    with fakeredis.FakeRedis(decode_responses=True) as client:
        yield client


class Broker:
    """A queue that takes so many messages, and then is away."""

    def __init__(self) -> None:
        self.taken: list[Envelope] = []
        self.room = 9

    def push(self, envelopes: Sequence[Envelope]) -> None:
        """Take messages."""
        if len(self.taken) >= self.room:
            raise redis.ConnectionError("redis://u:secret@nowhere is away")
        self.taken += envelopes

    def close(self) -> None:
        """Do nothing."""


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    """Give where letters are sent again."""
    broker = Broker()
    monkeypatch.setattr("cli.dead.replaying.make_queue", lambda *_, **__: broker)
    return broker


def keep(client: Any, raw: Any) -> str:
    """Keep a letter, and return its id."""
    return str(client.xadd(DEAD_LETTERS, {"messageId": "m", "raw": json.dumps(raw)}))


def test_letters_are_counted_by_reason_and_named() -> None:
    """The most frequent first, each with the ids that its count is of."""
    said = described(letter(4, "got 4 of 5"), letter(3, "rare"), letter(2, "got 9 of 3"), kept=9)
    assert (said["kept"], said["looked"], said["kindsHidden"]) == (9, 3, 0)
    first, second = said["kinds"]
    assert (first["kind"], first["entries"]) == ("got … of …", ["4-0", "2-0"])
    assert (first["first"], first["last"]) == ("time 2", "time 4")
    assert [one["reason"] for one in first["letters"]] == ["got 4 of 5", "got 9 of 3"]
    assert second["entries"] == ["3-0"]


def test_what_a_browser_draws_is_bounded() -> None:
    """However many letters, reasons, and characters there are."""
    many = [letter(number, "x" * number) for number in range(1, 200)]
    said = described(*many, *(letter(number, "y" * 9_999) for number in range(200, 300)))
    assert (len(said["kinds"]), said["kindsHidden"]) == (KINDS_SHOWN, 200 - KINDS_SHOWN)
    assert len(said["kinds"][0]["entries"]) == 100
    assert len(said["kinds"][0]["letters"]) == LETTERS_SHOWN
    assert len(said["kinds"][0]["letters"][0]["reason"]) == MAX_REASON
    shown = page.show(letter(1, "", "z" * (MAX_RAW + 5)))
    assert (len(shown["raw"]), shown["cut"]) == (MAX_RAW, 5)


def test_what_is_valid_is_sent_again_and_the_rest_is_kept(client: Any, broker: Broker) -> None:
    """And it is said how many were no longer there."""
    good = keep(client, {"id": "ev_1", "status": "failed"})
    bad = keep(client, {"id": "ev_2", "status": "done"})
    done = page.replay(DeadLetters(client), [good, "1-1", bad], SETTINGS)
    assert (done.done, done.gone, done.kept, done.failed) == (1, 1, 1, "")
    assert "status: must be" in done.why
    assert [one.args for one in broker.taken] == ["['ev_1']"]
    assert [entry for entry, _ in client.xrange(DEAD_LETTERS)] == [bad]


def test_a_broker_that_goes_away_is_said_with_what_was_sent(client: Any, broker: Broker) -> None:
    """Before anything was done it is an error; after that, no letter is lost from the answer."""
    entries = [keep(client, {"id": f"ev_{number}", "status": "failed"}) for number in range(3)]
    broker.room = 1
    away = "the broker of CELERY_BROKER_URL: redis://u:***@nowhere is away"
    assert page.replay(DeadLetters(client), entries, SETTINGS) == Done(done=1, failed=away)
    assert client.xlen(DEAD_LETTERS) == 2
    with pytest.raises(SettleError, match="is away"):
        page.replay(DeadLetters(client), entries[1:], SETTINGS)


def test_letters_are_dropped(client: Any) -> None:
    """Those that are named and there."""
    entries = [keep(client, "x"), keep(client, "y"), keep(client, "z")]
    assert page.drop(DeadLetters(client), [*entries[:2], "1-1"], SETTINGS) == Done(2, 1)
    assert [entry for entry, _ in client.xrange(DEAD_LETTERS)] == entries[2:]


def test_the_application_is_made_without_any_server() -> None:
    """And connects to none before somebody watches."""
    paths = [getattr(route, "path", "") for route in make_application(SETTINGS, None).routes]
    assert {"/", "/page.js", "/page.css", "/readings", "/letters/{entry}"} <= set(paths)
