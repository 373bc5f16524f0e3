"""What became of each message of a batch, in words, small enough for a pipe.

A slot may be a process, whose report must fit into its pipe at once: so each text
is in it once, with a number for each message. Where there are too many different
texts the rest is said in general. Pure.
"""

from __future__ import annotations

import zlib
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from settle_client.outcome import Outcome

UPDATED = "updated"
MAX_TEXT_CHARACTERS = 200
MAX_CHARACTERS = 2_000
MAX_TEXTS = 200


class ShownResult(NamedTuple):
    """What became of one message, as monitors show it.

    `failed` says whether an update of it is not valid, or was refused.
    """

    text: str
    failed: bool


REST = {
    False: ShownResult("settled: see its outcomes", failed=False),
    True: ShownResult("not applied: see `settle dead list`", failed=True),
}


# Those of the reasons that go with an error, and a dead letter.
FAILED = ("refused", "invalid")


class Summary(NamedTuple):
    """The results of a batch: each text once, and a packed number for each message."""

    reasons: Counter[str]
    texts: tuple[ShownResult, ...]
    numbers: bytes

    @property
    def failed(self) -> int:
        """Return how many updates have a dead letter."""
        return sum(self.reasons[reason] for reason in FAILED)

    def results(self) -> list[ShownResult]:
        """Return the result of each message, in order."""
        return [self.texts[number] for number in zlib.decompress(self.numbers)]


def summarize(outcomes: Sequence[Sequence[Outcome]]) -> Summary:
    """Sum up a batch.

    Args:
        outcomes: For each message those of its updates.
    """
    reasons: Counter[str] = Counter()
    texts: dict[ShownResult, int] = {}
    numbers = bytearray()
    room = MAX_CHARACTERS
    for answers in outcomes:
        one = _SINGLE.get(answers[0].reason) if len(answers) == 1 else None
        if one is not None:
            reasons[answers[0].reason or UPDATED] += 1
        else:
            counts = Counter(outcome.reason or UPDATED for outcome in answers)
            reasons.update(counts)
            one = _in_words(counts, answers)
        if one not in texts:
            if len(texts) >= MAX_TEXTS or room < len(one.text):
                one = REST[one.failed]
            room -= len(one.text)
            texts.setdefault(one, len(texts))
        numbers.append(texts[one])
    return Summary(reasons, tuple(texts), zlib.compress(numbers, 1))


_SINGLE = {
    reason: ShownResult(f"1 {reason or UPDATED}", failed=False)
    for reason in (None, "already_completed", "already_failed", "not_found")
}


def _in_words(counts: Counter[Any], outcomes: Sequence[Outcome]) -> ShownResult:
    error = next((outcome.error.message for outcome in outcomes if outcome.error), None)
    text = in_words(counts) if error is None else f"{in_words(counts)}: {error}"
    return ShownResult(text[:MAX_TEXT_CHARACTERS], error is not None)


def in_words(reasons: Counter[Any]) -> str:
    """Write `3 updated, 1 already_completed`, the most frequent first."""
    return ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
