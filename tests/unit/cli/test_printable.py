"""What somebody else has sent, on a terminal: shown, and not obeyed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from cli.commands import dead
from cli.commands.outcomes import describe
from cli.dead.listing import block, by_reason
from cli.main import main
from cli.printable import printable
from settle_client import Outcome
from settle_client.salvage import UnreadOutcome
from tasks.dead_letters import KeptLetter

if TYPE_CHECKING:
    from collections.abc import Callable

HOSTILE = "a\x1b[2Jb\nev_2  failed  updated\x9b0m\udce9\u202e"
SHOWN = r"a\x1b[2Jb\nev_2  failed  updated\x9b0m\udce9\u202e"

REST: dict[str, Any] = {
    "message_id": "m",
    "index": 0,
    "account_id": None,
    "event_type": None,
    **dict.fromkeys(("created_at", "completed_at", "failed_at")),
}
OUTCOME = Outcome(id=HOSTILE, updated=True, status="failed", reason=None, **REST)
LATE = Outcome(id=HOSTILE, updated=False, status="failed", reason="not_found", **REST)
UNREAD = UnreadOutcome(
    id=None, updated=False, status=None, reason=None, text=HOSTILE, why="no JSON", **REST
)
LETTER = KeptLetter("1-0", HOSTILE, f"no: {HOSTILE}", "2026", {}, HOSTILE, 0)


def show(letter: KeptLetter, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return what `settle dead show` prints."""
    monkeypatch.setattr(dead, "_find", lambda *_: letter)
    return CliRunner().invoke(main, ["dead", "show", "1-0"]).stdout


@pytest.mark.parametrize(
    "said",
    [
        lambda _: describe(OUTCOME),
        lambda _: describe(LATE),
        lambda _: describe(UNREAD),
        lambda _: "".join(block(LETTER)),
        lambda _: "".join(by_reason([LETTER])[0].lines()),
        lambda patch: show(LETTER, patch).replace("\n", ""),
    ],
    ids=["outcome", "not updated", "no outcome", "letter", "by reason", "shown whole"],
)
def test_no_terminal_acts_upon_what_was_sent(
    said: Callable[[Any], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An id may have any character that PostgreSQL can store."""
    monkeypatch.setenv("COLUMNS", "1000")
    text = said(monkeypatch)
    assert SHOWN.partition(" ")[0] in text
    for one in "\x1b[2J", "\n", "\x9b", "\u202e":
        assert one not in text


def test_other_languages_are_shown_as_they_are() -> None:
    """They are printable."""
    assert printable("ev_é→日") == "ev_é→日"
    assert printable(HOSTILE) == SHOWN
