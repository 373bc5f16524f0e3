"""What an answer means for an endpoint."""

from __future__ import annotations

import pytest

from webhooks.judging import Answer, Consequence, Limits, State, judge_failure, judge_success
from webhooks.posting import retry_after_seconds

LIMITS = Limits(retry_max_wait_seconds=100, disable_after_days=2)
NOW = 1_000_000.0
DAY = 86_400


@pytest.mark.parametrize(
    ("answer", "is_delivered", "is_refusal"),
    [
        pytest.param(Answer(200), True, False, id="200"),
        pytest.param(Answer(204), True, False, id="204"),
        pytest.param(Answer(301), False, True, id="a redirect"),
        pytest.param(Answer(400), False, True, id="400"),
        pytest.param(Answer(429), False, False, id="429"),
        pytest.param(Answer(500), False, True, id="500"),
        pytest.param(Answer(503), False, False, id="503"),
        pytest.param(Answer(None, "no connection"), False, False, id="none"),
    ],
)
def test_only_2xx_is_delivered(answer: Answer, is_delivered: bool, is_refusal: bool) -> None:
    """And only what may be for the content is a refusal."""
    assert (answer.is_delivered, answer.is_refusal) == (is_delivered, is_refusal)


def test_pauses_are_drawn_below_a_limit_that_doubles() -> None:
    """From one second on, up to the setting's; so those that failed together come apart."""
    for failures, longest in ((0, 1), (3, 8), (6, 64), (7, 100), (40, 100)):
        drawn = [_fail(State(failures, NOW)).wait_seconds or 0 for _ in range(200)]
        assert all(0 <= wait <= longest for wait in drawn)
        assert longest / 2 < max(drawn)
        assert min(drawn) < longest / 2


def test_what_an_endpoint_asks_for_is_heeded() -> None:
    """Never sooner, also where our own pause would be shorter; but never for longer than a day."""
    wait = _fail(State(), Answer(429, retry_after_seconds=500)).wait_seconds
    assert wait is not None
    assert 500 <= wait <= 501
    wait = _fail(State(), Answer(503, retry_after_seconds=10**9)).wait_seconds
    assert wait is not None
    assert DAY <= wait <= DAY + 1


def test_one_that_is_gone_is_disabled_at_once() -> None:
    """By 410 alone."""
    consequence = _fail(State(), Answer(410))
    assert consequence.wait_seconds is None
    assert consequence.disabled == "it answered 410 Gone"


def test_one_that_fails_for_days_is_disabled() -> None:
    """Counted from its first failure since it last took something."""
    assert _fail(State(9, NOW - 2 * DAY + 1)).disabled is None
    consequence = _fail(State(9, NOW - 2 * DAY - 1), Answer(None, "no connection"))
    assert consequence.disabled == "it has failed for 2 days: no connection"
    assert consequence.wait_seconds is None


def test_a_batch_that_is_refused_becomes_smaller_and_grows_again() -> None:
    """Down to one; what only finds nobody stays as it is, to be sent under the same id."""
    assert _fail(State(), Answer(400), count=9).changes["size"] == 4
    assert "last" in _fail(State(), Answer(400), count=9).forgotten
    assert "size" not in _fail(State(), Answer(400), count=1).changes
    for answer in (Answer(None, "no answer in time"), Answer(429)):
        consequence = _fail(State(), answer, count=9)
        assert "size" not in consequence.changes
        assert consequence.forgotten == ()
    assert judge_success(State(size=4), 100, NOW).changes["size"] == 8
    assert "size" in judge_success(State(size=50), 100, NOW).forgotten


def test_what_is_refused_is_found_soon_however_long_the_endpoint_failed() -> None:
    """A smaller batch is sent at once, and one that is alone begins with short pauses."""
    for _ in range(200):
        smaller = _fail(State(12, NOW), Answer(400), count=9).wait_seconds
        alone = _fail(State(12, NOW, refusals=2), Answer(400)).wait_seconds
        assert smaller is not None
        assert smaller <= 1
        assert alone is not None
        assert alone <= 4


def test_one_that_is_refused_again_and_again_is_in_doubt() -> None:
    """Counted while it is alone, and anew when anything else was wrong."""
    state = State()
    for refusals in range(1, 6):
        assert not state.is_in_doubt
        changes = _fail(state, Answer(400)).changes
        assert changes["refusals"] == refusals
        state = State.of({name: str(value) for name, value in changes.items()})
    assert state.is_in_doubt
    assert _fail(state, Answer(None, "no connection")).changes["refusals"] == 0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        pytest.param("120", 120, id="seconds"),
        pytest.param("Thu, 01 Jan 1970 00:16:50 GMT", 10, id="a date"),
        pytest.param("Thu, 01 Jan 1970 00:00:00 GMT", 0, id="a date that is over"),
        pytest.param("soon", None, id="a word"),
        pytest.param("-5", None, id="less than nothing"),
        pytest.param("9" * 400, 999_999_999, id="too many digits"),
    ],
)
def test_the_header_retry_after_is_read(text: str, seconds: float | None) -> None:
    """Seconds or a date, and whatever else an endpoint may write."""
    assert retry_after_seconds(text, 1_000) == seconds


def _fail(state: State, answer: Answer | None = None, count: int = 1) -> Consequence:
    return judge_failure(state, answer or Answer(503), count, LIMITS, NOW)
