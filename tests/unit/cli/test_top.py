"""What `settle top` makes of two polls, and how it is drawn."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from cli.top.json_view import to_json
from cli.top.number_formats import amount, duration, rate
from cli.top.screen import Screen
from cli.top.view import FORGOTTEN_AFTER_SECONDS, Answer, Poll, View, advance

UP = {"database": 1, "result_channel": 1, "broker": 1}


def answer(
    name: str = "celery@w1", pid: int = 1, *, uptime: float = 100.0, updated: int = 0, **more: Any
) -> Answer:
    """Make the answer of a worker."""
    stats = {
        "uptime_seconds": uptime,
        "updates": {"updated": updated, "not_found": 0},
        "latency_seconds": {"count": updated / 10, "sum": updated / 10 * 0.25},
        "live": 1,
        "ready": 1,
        "live_why": "it turns",
        "ready_why": "it consumes",
        "slots": 3,
        "slots_taken": 1,
        "server_up": UP,
        "held_updates": {"waiting": 10, "slots": 5},
        **more,
    }
    return Answer(name, pid, stats)


def after(*polls: Poll) -> View:
    """Look at polls, one after the other."""
    view: View | None = None
    for poll in polls:
        view = advance(view, poll)
    assert view is not None
    return view


def test_a_rate_needs_two_answers() -> None:
    """After one it is unknown, and no worker's is known before it was seen twice."""
    first = Poll(10.0, (answer(updated=500),))
    assert after(first).rate("updates.") is None
    second = Poll(12.0, (answer(uptime=102.0, updated=700), answer("celery@w2", updated=9_000)))
    view = after(first, second)
    assert view.rate("updates.updated") == pytest.approx(100)
    assert view.mean("latency_seconds") == pytest.approx(0.25)
    assert view.total("updates.updated") == 9_700
    assert view.sum_of("held_updates") == 30


def test_a_rate_is_by_the_workers_own_clock() -> None:
    """An answer that came late makes it neither higher nor lower."""
    late = Poll(12.9, (answer(uptime=102.0, updated=200),))
    assert after(Poll(10.0, (answer(),)), late).rate("updates.") == pytest.approx(100)


@pytest.mark.parametrize(
    "second",
    [
        answer(pid=2, uptime=150.0, updated=30),
        answer(pid=1, uptime=1.0, updated=30),
        answer(pid=1, uptime=150.0, updated=30),
    ],
    ids=["another process", "a shorter life", "counters went down"],
)
def test_a_worker_that_restarted_counted_from_nothing(second: Answer) -> None:
    """Its rate is not negative."""
    view = after(Poll(10.0, (answer(updated=20_000),)), Poll(12.0, (second,)))
    assert view.rate("updates.") == pytest.approx(15)


def test_a_worker_that_does_not_answer_is_listed_for_a_while() -> None:
    """It has no rate, holds nothing that is counted, and is forgotten in the end."""
    seen = Poll(10.0, (answer(updated=500),))
    view = after(seen, Poll(12.0))
    (silent,) = view.workers
    assert not view.answers(silent)
    assert view.rate("updates.") is None
    assert view.sum_of("held_updates") == 0
    assert view.total("updates.updated") == 500
    assert after(seen, Poll(12.0), Poll(10.0 + FORGOTTEN_AFTER_SECONDS)).workers == ()


def test_a_worker_that_answers_again_was_at_work_meanwhile() -> None:
    """Its rate is over all of the time that it was not heard."""
    back = Poll(14.0, (answer(uptime=104.0, updated=400),))
    assert after(Poll(10.0, (answer(),)), Poll(12.0), back).rate("updates.") == pytest.approx(100)


def test_a_worker_of_another_version_is_listed() -> None:
    """What it does not say is unknown, here and for programs."""
    view = after(Poll(10.0, (Answer("celery@old", 1, {"updates": {"updated": 1}}),)))
    assert "celery@old" in draw(view)
    assert to_json(view)["workers"][0]["slots"] is None


LARGE: dict[str, Any] = {
    "messages_fetched": {"plain": 999_999_999, "other": 123_456_789},
    "batches": {"size": 123_456, "slot": 99_999, "age": 9, "stop": 1},
    "batch_updates": {"count": 223_465, "sum": 223_465_000},
}
TROUBLED = answer(
    "celery@a-rather-long-name-of-a-machine.example.com",
    ready=0,
    ready_why="the database does not answer: " + "connection refused " * 10,
    server_up={"database": 0, "result_channel": 0, "broker": 1},
)


def draw(view: View, width: int = 80, height: int | None = None) -> str:
    """Draw as on a terminal."""
    console = Console(width=width, record=True, quiet=True, color_system=None)
    options = console.options.update(width=width, height=height)
    screen = Screen(view, "redis://settle-operator:***@redis.example.com:6379/0", "21:30:00")
    lines = console.render_lines(screen, options, pad=False)
    return "\n".join("".join(segment.text for segment in line).rstrip() for line in lines)


def test_nothing_wraps_in_80_columns() -> None:
    """With large numbers, long names and long reasons: a line a row."""
    workers = (answer(), TROUBLED)
    first = Poll(10.0, workers)
    large = answer(uptime=102.0, updated=987_654_321, **LARGE)
    view = after(
        first,
        Poll(12.0, (large, TROUBLED), 1_234_567, 86_400.0, 123_456, notes=("n " * 80,), delayed=5),
    )
    drawn = draw(view)
    lines = drawn.splitlines()
    assert max(map(len, lines)) <= 80
    # Title, five facts and a note, six outcomes, two workers and a reason; three gaps, two heads.
    assert len(lines) == 1 + 6 + 8 + 3 + 1 + 3
    assert "1.23 M messages waiting, the oldest for 24 h; 5 delayed" in drawn
    assert "not ready" in drawn
    assert "no db, re…" in drawn


@pytest.mark.parametrize("workers", [0, 1, 4, 5, 6, 30])
def test_it_fits_24_lines(workers: int) -> None:
    """However many workers there are; those in trouble are seen first."""
    names = [f"celery@w{number:02}" for number in range(workers)]
    answers = [answer(name) for name in names[:-1]]
    answers += [answer(name, ready=0, ready_why="it was told so") for name in names[-1:]]
    drawn = draw(after(Poll(10.0, tuple(answers))), height=24)
    assert len(drawn.splitlines()) <= 24
    assert all(name in drawn for name in names[-1:])
    assert ("more: make the window higher" in drawn) == (workers > 5)


@pytest.mark.parametrize(
    ("poll", "says"),
    [
        (Poll(10.0, broker_away="connection refused"), "DOES NOT ANSWER: connection refused"),
        (Poll(10.0), "NO WORKER ANSWERS"),
        (Poll(10.0, (answer(live=0, live_why="stuck: it is"),)), "celery@w1: stuck: it is"),
        (Poll(10.0, (answer(),), notes=("no right",)), "no right"),
    ],
    ids=["broker", "workers", "stuck", "note"],
)
def test_trouble_is_said_in_words(poll: Poll, says: str) -> None:
    """No colour is needed to see it."""
    assert says in draw(after(poll))


def test_the_numbers_are_short() -> None:
    """And exact while they are small."""
    shown = [amount(n) for n in (None, 0, 999_999, 1_234_567, 12.3e9, 999.9e6)]
    assert shown == ["-", "0", "999,999", "1.23 M", "12.30 G", "999.90 M"]
    assert [rate(n) for n in (None, 0, 0.25, 12_345.6)] == ["-", "0", "0.2", "12,346"]
    seconds = (None, 0.0021, 0.25, 1.25, 61, 200, 7_200)
    shown = [duration(n) for n in seconds]
    assert shown == ["-", "2.1 ms", "250 ms", "1.2 s", "61 s", "3 min", "2 h"]
