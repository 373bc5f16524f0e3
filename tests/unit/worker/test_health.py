"""What is live and what is ready, judged from what is known, and read off a file."""

from __future__ import annotations

import json
import os
import tempfile
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from cli.main import main
from worker.telling.vitals import Vitals, with_fix
from worker.watching import statefile
from worker.watching.judging import Judgement, judge_live, judge_ready, longest_seconds
from worker.watching.pulse import Pulse
from worker.watching.statefile import (
    BROKER_VARIABLE,
    STALE_SECONDS,
    VARIABLE,
    default_path,
    find,
    look_up,
    process_began,
    write,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MOST = longest_seconds(30)
LATER = MOST + 1


def well() -> Vitals:
    """Give a worker at time 0 that wants for nothing."""
    vitals = Vitals(consuming=True)
    vitals.connected(0.0)
    vitals.hear("database", "")
    vitals.hear("result_channel", "")
    return vitals


def test_a_worker_at_work_is_live_and_ready() -> None:
    """With a batch in a slot, however often it has been tried before."""
    vitals = well()
    for now in range(0, 10 * int(MOST), 10):
        vitals.turned_at = now
        vitals.begin_try("job", now)
        assert judge_live(vitals, now + 1, MOST).holds
        vitals.end_try("job", "", now + 2)
        assert judge_ready(vitals).holds


def test_a_batch_that_gets_no_further_is_stuck() -> None:
    """After longer than PostgreSQL gives its statements, and not before."""
    vitals = well()
    vitals.begin_try("job", 0.0)
    vitals.begin_try("another", 100.0)
    vitals.turned_at = LATER
    assert judge_live(vitals, MOST, MOST).holds
    verdict = judge_live(vitals, LATER, MOST)
    assert verdict == Judgement(False, "stuck: a batch has been in its slot for 121 s")
    vitals.end_try("job", "", LATER)
    assert judge_live(vitals, LATER, MOST).holds


def test_an_event_loop_that_does_not_turn_is_stuck() -> None:
    """Be a batch in a slot or not."""
    vitals = well()
    assert judge_live(vitals, MOST, MOST).holds
    verdict = judge_live(vitals, LATER, MOST)
    assert verdict == Judgement(False, "stuck: the event loop has not turned for 121 s")


@pytest.mark.parametrize("server", ["database", "result_channel", "broker"])
def test_whoever_waits_for_a_server_is_live(server: str) -> None:
    """A new worker would wait for it too, and all of them would be killed at once."""
    vitals = well()
    vitals.begin_try("job", 0.0)
    vitals.hear(server, "connection refused")
    verdict = judge_live(vitals, 100 * MOST, MOST)
    assert verdict.holds
    assert verdict.why.endswith("does not answer: connection refused")
    vitals.hear(server, "")
    assert not judge_live(vitals, 100 * MOST, MOST).holds


def test_a_worker_that_looks_for_its_broker_is_live_and_not_ready() -> None:
    """Its event loop does not turn meanwhile, be it from the start or later."""
    for vitals in (Vitals(), well()):
        vitals.connecting = True
        assert judge_live(vitals, 100 * MOST, MOST).holds
        assert not judge_ready(vitals).holds
        vitals.connected(100 * MOST)
        assert judge_live(vitals, 101 * MOST, MOST).holds


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (None, "the broker was not asked yet"),
        ("", "it connects to the broker"),
        ("refused", "the broker does not answer: refused; start it"),
    ],
    ids=["at the very start", "it answers", "it is away"],
)
def test_no_server_is_said_to_be_away_that_was_not_found_away(found: str | None, why: str) -> None:
    """A worker that is about to connect says so, and does not lead anybody astray."""
    vitals = Vitals()
    if found is not None:
        vitals.hear("broker", found, "start it")
    assert judge_ready(vitals) == Judgement(False, why)
    assert judge_live(vitals, MOST, MOST) == Judgement(True, f"waiting: {why}")


def hear_nothing(vitals: Vitals) -> None:
    """Ask nobody yet."""
    vitals.away = Vitals().away


def lack_the_table(vitals: Vitals) -> None:
    """Have a database that answers, and a batch that fails for it."""
    vitals.unfit = with_fix("there is\n no table", "settle migrate")
    vitals.end_try("job", "42P01", 1.0)


def begin(vitals: Vitals) -> None:
    """Have the queue not consumed yet."""
    vitals.consuming = False


def cancel_consumer(vitals: Vitals) -> None:
    """Have an operator say that the queue is not to be consumed."""
    vitals.consuming = vitals.is_to_consume = False


def stop_consuming(vitals: Vitals) -> None:
    """Trip the breaker."""
    vitals.consuming, vitals.stopped_because = False, "80% are not valid"


def test_a_worker_whose_database_cannot_be_used_is_not_stuck() -> None:
    """It waits for somebody to mend that, and would after a restart, too."""
    vitals = well()
    vitals.begin_try("job", 0.0)
    vitals.turned_at = LATER
    assert not judge_live(vitals, LATER, MOST).holds
    vitals.unfit = "commits wait"
    verdict = judge_live(vitals, LATER, MOST)
    assert verdict.holds
    assert verdict.why.startswith("waiting: a batch has been in its slot")
    assert verdict.why.endswith("the database cannot be used: commits wait")


@pytest.mark.parametrize(
    ("trouble", "why"),
    [
        (hear_nothing, "the database was not asked yet"),
        (lambda v: v.hear("database", "no\n route"), "the database does not answer: no route"),
        (
            lambda v: v.hear("database", 999 * "x", "start it"),
            f"the database does not answer: {200 * 'x'}; start it",
        ),
        (lack_the_table, "the database cannot be used: there is no table; settle migrate"),
        (lambda v: v.hear("result_channel", "away"), "the result channel does not answer: away"),
        (begin, "it begins to consume"),
        (cancel_consumer, "it does not consume: it was told so"),
        (stop_consuming, "it does not consume: 80% are not valid"),
        (lambda v: v.end_try("job", "42P01", 1.0), "a batch fails: 42P01"),
    ],
    ids=[
        *("nobody was asked", "database", "long reason", "no table"),
        *("result channel", "begun", "cancelled", "breaker", "batch"),
    ],
)
def test_what_keeps_a_worker_from_being_ready(trouble: Callable[[Vitals], None], why: str) -> None:
    """The answer says what, and it is live all the same."""
    vitals = well()
    trouble(vitals)
    assert judge_ready(vitals) == Judgement(False, why)
    assert judge_live(vitals, MOST, MOST).holds


def test_a_settled_batch_ends_the_trouble() -> None:
    """Both servers have answered then, whatever was said of them before."""
    vitals = well()
    vitals.hear("database", "away")
    vitals.hear("result_channel", "away")
    vitals.end_try("job", "TransientDatabaseError: away", 1.0)
    vitals.end_try("job", "", 2.0)
    assert judge_ready(vitals).holds
    assert vitals.answered_at == 2.0


def pulse(path: Path, *verdicts: Judgement) -> Pulse:
    """Give a pulse whose worker is live as given, beat by beat."""
    to_come = iter(verdicts)
    return Pulse(path, "w@h", live=lambda: next(to_come), ready=lambda: Judgement(False, "no"))


FINE, STUCK = Judgement(True, "fine"), Judgement(False, "stuck: somewhere")


def test_the_file_says_what_was_judged(tmp_path: Path) -> None:
    """For as long as it is fresh."""
    path = tmp_path / "state.json"
    pulse(path, FINE).beat(100.0)
    assert look_up(path, "live", 100.0 + STALE_SECONDS) == FINE
    assert look_up(path, "ready", 101.0) == Judgement(False, "no")
    for now in (101.0 + STALE_SECONDS, 99.0):
        assert "says nothing any more" in look_up(path, "live", now).why
    assert [file.name for file in tmp_path.iterdir()] == ["state.json"]


def test_a_stuck_worker_tells_once_where_its_threads_are(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And again if it was live in between, which is said too."""
    beats = pulse(tmp_path / "state.json", FINE, STUCK, STUCK, FINE, STUCK)
    for _ in range(5):
        beats.beat(0.0)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 3
    assert lines[1] == "The worker is not stuck any more."
    assert lines[0].startswith("The worker is stuck: somewhere. Its threads are at:")
    assert "test_a_stuck_worker_tells_once_where_its_threads_are" in lines[0]


def test_a_file_that_cannot_be_written_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The worker goes on without."""
    beats = pulse(tmp_path / "nowhere" / "state.json", FINE, FINE)
    beats.beat(0.0)
    beats.beat(2.0)
    beats.end()
    (line,) = [record.getMessage() for record in caplog.records]
    assert "state.json cannot be written: No such file" in line


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"written_at": 1, "live": 3}'])
def test_another_file_is_not_believed(tmp_path: Path, text: str) -> None:
    """Nor does it break the probe."""
    path = tmp_path / "state.json"
    path.write_text(text)
    assert look_up(path, "live", 1.0) == Judgement(False, f"{path} is not what a worker writes")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a temporary directory of this test's own."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv(BROKER_VARIABLE, "redis://one/0")
    return tmp_path


def test_workers_of_one_machine_have_a_file_each(folder: Path) -> None:
    """A probe finds the only one, or learns which there are; a dead one's is not counted."""
    with pytest.raises(LookupError, match="no worker of this user and CELERY_BROKER_URL runs here"):
        find("")
    dead = 2**22 + 1  # beyond the largest process id
    for node, pid in (("celery@one", os.getpid()), ("celery@dead", dead)):
        write(default_path(node), {"pid": pid})
    assert find("") == default_path("celery@one")
    write(default_path("celery@two"), {"pid": os.getpid()})
    with pytest.raises(LookupError, match=r"name one with --node \(celery@one, celery@two\)"):
        find("")
    assert find("celery@two") == default_path("celery@two")
    assert default_path("../a b").parent == folder


@pytest.mark.usefixtures("folder")
def test_another_process_with_the_number_of_a_killed_worker_is_no_worker() -> None:
    """Numbers come again; a worker that lives is found beside what was left."""
    pid = os.getpid()
    write(default_path("celery@killed"), {"pid": pid, "process_began": "1"})
    with pytest.raises(LookupError, match="no worker of this"):
        find("")
    alive = {"pid": pid, "process_began": process_began(pid)}
    write(default_path("celery@alive"), alive)
    assert find("") == default_path("celery@alive")


@pytest.mark.usefixtures("folder")
def test_services_of_one_machine_have_files_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also with one node name, which is how Celery names them; by their brokers, not by users."""
    write(default_path("celery@host"), {"pid": os.getpid()})
    one = find("")
    monkeypatch.setenv(BROKER_VARIABLE, "redis://two/0")
    with pytest.raises(LookupError, match="no worker of this"):
        find("")
    assert find("celery@host") != one
    monkeypatch.setenv(BROKER_VARIABLE, "redis://user:p@ss@one/0")
    assert find("") == one
    assert "p@ss" not in one.name


@pytest.mark.usefixtures("folder")
def test_what_another_user_has_left_is_nobody_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not read, and stands in nobody's way."""
    others = default_path("celery@host")
    write(others, {"pid": os.getpid()})
    another = others.stat().st_uid + 1
    monkeypatch.setattr(os, "getuid", lambda: another)
    mine = default_path("celery@host")
    assert mine != others
    others.rename(mine)
    with pytest.raises(LookupError, match="no worker of this"):
        find("")


def test_a_configured_file_is_the_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else is there."""
    monkeypatch.setenv(VARIABLE, str(folder / "mine.json"))
    assert find("") == folder / "mine.json"


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    """The temporary directory is everybody's."""
    victim, path = tmp_path / "victim", tmp_path / "state.json"
    victim.write_text("precious")
    path.symlink_to(victim)
    write(path, {"pid": 1})
    assert victim.read_text() == "precious"
    assert json.loads(path.read_text()) == {"pid": 1}


@pytest.mark.usefixtures("folder")
def test_the_probe_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line; the exit code is what counts."""
    result = CliRunner().invoke(main, ["health", "ready"])
    assert result.exit_code == 1
    assert result.output.startswith("not ready: no worker of this user")
    monkeypatch.setattr(statefile, "look_up", lambda *_: FINE)
    monkeypatch.setenv(VARIABLE, "anything")
    result = CliRunner().invoke(main, ["health", "live"])
    assert (result.exit_code, result.output) == (0, "live: fine\n")
