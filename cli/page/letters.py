"""Dead letters for the page: by reason, with the ids that a reason stands for, and seen to.

What is sent again or dropped is named by its id: it is what somebody has seen, and no
letter that came since.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cli.dead.replaying import opened_queue, send_again, understand
from cli.doctor.examination import say
from tasks.errors import NotUnderstoodError
from tasks.reasons import kind_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from service.settings import Settings
    from settle_client.broker import Queue
    from tasks.dead_letters import DeadLetters, KeptLetter
    from tasks.latest_letters import LatestLetters

# What a browser is to draw; of the rest there are counts.
KINDS_SHOWN, LETTERS_SHOWN = 20, 10
MAX_REASON, MAX_RAW = 1_000, 65_536


@dataclass(slots=True)
class Done:
    """What became of letters that somebody has seen to.

    Attributes:
        done: How many were sent again, or dropped.
        gone: How many were not there any more.
        kept: How many, or parts of them, are still not valid.
        why: Of the last of these.
        failed: Why the rest was not tried.
    """

    done: int = 0
    gone: int = 0
    kept: int = 0
    why: str = ""
    failed: str = ""

    def keep(self, why: str) -> None:
        """Count one that is still not valid."""
        self.kept += 1
        self.why = why[:MAX_REASON]


def describe(latest: LatestLetters) -> dict[str, Any]:
    """Write down the latest letters by reason, the most frequent first."""
    kinds: dict[str, list[KeptLetter]] = {}
    for letter in latest.letters:
        kinds.setdefault(kind_of(letter.reason[:MAX_REASON]), []).append(letter)
    frequent = sorted(kinds.items(), key=lambda kind: -len(kind[1]))
    return {
        "kept": latest.kept,
        "looked": len(latest.letters),
        "kindsHidden": max(0, len(frequent) - KINDS_SHOWN),
        "kinds": [
            {
                "kind": kind,
                "entries": [letter.entry for letter in letters],
                "first": letters[-1].time,
                "last": letters[0].time,
                "letters": [_fields(letter) for letter in letters[:LETTERS_SHOWN]],
            }
            for kind, letters in frequent[:KINDS_SHOWN]
        ],
    }


def show(letter: KeptLetter) -> dict[str, Any]:
    """Write down one letter, with as much of what is in it as can be looked at."""
    raw, cut = letter.raw[:MAX_RAW], max(0, len(letter.raw) - MAX_RAW)
    # As text, for not all of it need be what a browser takes for JSON.
    delivery = json.dumps(letter.delivery, indent=1)
    return {**_fields(letter), "delivery": delivery, "raw": raw, "cut": cut}


def _fields(letter: KeptLetter) -> dict[str, Any]:
    return {
        "entry": letter.entry,
        "messageId": letter.message_id,
        "index": letter.index,
        "time": letter.time,
        "reason": letter.reason[:MAX_REASON],
    }


def replay(letters: DeadLetters, entries: Sequence[str], settings: Settings) -> Done:
    """Send letters again; what is still not valid is kept.

    Raises:
        Exception: Of whatever library, if it failed before anything was done.
    """
    done = Done()
    try:
        with opened_queue(settings) as queue:
            for entry in entries:
                _replay_one(letters, entry, settings, queue, done)
    except Exception as error:
        if done == Done():
            raise
        done.failed = say(error)
    return done


def _replay_one(
    letters: DeadLetters, entry: str, settings: Settings, queue: Queue, done: Done
) -> None:
    letter = letters.find(entry)
    if letter is None:
        done.gone += 1
        return
    try:
        replay = understand(letter, settings)
    except NotUnderstoodError as error:
        done.keep(str(error))
        return
    send_again(letter, replay, letters, queue)
    done.done += 1
    for one in replay.rest:
        done.keep(one.reason)


def drop(letters: DeadLetters, entries: Sequence[str], _: Settings) -> Done:
    """Remove letters for good."""
    dropped = letters.drop(entries)
    return Done(dropped, len(entries) - dropped)
