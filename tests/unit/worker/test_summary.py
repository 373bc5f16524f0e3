"""What became of the messages of a batch, in words."""

from __future__ import annotations

import pickle
import random
from typing import TYPE_CHECKING, Any

import msgspec

from settle_client.update import StatusUpdate
from tasks.settle import invalid, outcome_of
from worker.summary import ShownResult, summarize

if TYPE_CHECKING:
    from settle_client.outcome import Outcome


def outcome(reason: Any = None) -> Outcome:
    """Make an outcome."""
    told = outcome_of("m", StatusUpdate(id="ev_1", status="completed"), None)
    return msgspec.structs.replace(told, updated=reason is None, reason=reason)


def test_each_result_says_what_became_of_the_updates_of_a_message() -> None:
    """In order, the most frequent first; it has failed only if something is not valid."""
    done, gone = outcome(), outcome("not_found")
    bad = invalid("m", "ev_1", None, "status: is required")
    summary = summarize([[done], [gone], [done, gone, done], [done, bad], [done]])
    assert summary.results() == [
        ShownResult("1 updated", failed=False),
        ShownResult("1 not_found", failed=False),
        ShownResult("2 updated, 1 not_found", failed=False),
        ShownResult("1 updated, 1 invalid: status: is required", failed=True),
        ShownResult("1 updated", failed=False),
    ]
    assert summary.reasons == {"updated": 5, "not_found": 2, "invalid": 1}


def test_it_stays_small_whatever_there_is_to_say() -> None:
    """The rest is put in general words, and what failed has failed all the same."""
    dice = random.Random(1)
    rubbish = [[invalid("m", None, None, f"{n} " + "x" * 500)] for n in range(500)]
    fine = [[outcome(dice.choice([None, "already_completed", "not_found"]))] for _ in range(500)]
    mixed = rubbish + fine
    dice.shuffle(mixed)
    summary = summarize(mixed)
    assert len(pickle.dumps(summary)) < 3_500
    results = summary.results()
    assert [one.failed for one in results] == [bool(many[0].error) for many in mixed]
    assert ShownResult("not applied: see `settle dead list`", failed=True) in results
