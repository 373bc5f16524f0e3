"""`settle demo --keep`, and what a person then types in another terminal."""

from __future__ import annotations

import re
import signal
import subprocess
import urllib.request
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import pytest

from cli import exit_status
from cli.demo.plan import make_plan
from tests import interruptible
from tests.service import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.storms

# Those that end by themselves; the others are for whoever watches.
ENDLESS = ("settle top", "settle outcomes", "settle gateway")
# What `timeout` ends with where it had to.
TIMED_OUT = 124
EVENTS = 400
SENT = sum(map(len, make_plan(run="", count=EVENTS, seed=1).waves))
EVENT = re.compile(r'^flower_events_total{.*type="task-(\w+)".*} (.*)$', re.MULTILINE)


class Kept(NamedTuple):
    """What a demo that was kept has printed."""

    said: str
    commands: list[str]
    shown: Counter[str]


@pytest.fixture(scope="module")
def kept() -> Iterator[Kept]:
    """Run a demo until it is kept, as somebody does who has settings of their own."""
    theirs = {"SETTLE_OUTCOME_URL": "redis://127.0.0.1:1/0", "DATABASE_URL": "postgresql://away/x"}
    arguments = ("demo", "--keep", "--events", str(EVENTS))
    with interruptible.start(*arguments, environment=theirs) as process:
        assert process.stdout is not None
        said = ""
        while "Ctrl-C stops everything." not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        *_, printed = said.partition("In another terminal")
        commands = re.findall(r"^  (\S.*)$", printed, re.MULTILINE)
        yield Kept(said, commands, what_flower_has_seen(said))
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        assert process.returncode == 0


def what_flower_has_seen(said: str) -> Counter[str]:
    """Return how many task events of each kind, when all have come."""
    (address,) = re.findall(r"Flower: (http://\S+)", said)
    counted: list[Counter[str]] = []

    def seen() -> bool:
        with urllib.request.urlopen(f"{address}/metrics") as answer:  # noqa: S310
            found = EVENT.findall(answer.read().decode())
        counted.append(Counter({kind: int(float(count)) for kind, count in found}))
        return counted[-1]["succeeded"] + counted[-1]["failed"] >= SENT

    eventually(seen, lambda: counted[-1])
    return counted[-1]


def typed(kept: Kept, command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Type a command into a new shell elsewhere, after what comes before all others."""
    before = [line for line in kept.commands if line.startswith(("export ", "unset "))]
    if command.startswith(ENDLESS) or " settle gateway" in command:
        command = f"timeout 5 env {command}"
    return subprocess.run(
        ["sh", "-c", "\n".join([*before, command])],
        env={"PATH": "/usr/bin:/bin", "SETTLE_OUTCOME_URL": "redis://127.0.0.1:1/0"},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_first_commands_settle_an_event_once(kept: Kept, tmp_path: Path) -> None:
    """In any terminal, wherever it is and whatever it has set."""
    first, second = [line for line in kept.commands if "publish" in line]
    early, late = typed(kept, first, tmp_path), typed(kept, second, tmp_path)
    assert early.stdout.endswith("completed  updated\n")
    assert "not updated: already_completed" in late.stdout
    assert (early.returncode, late.returncode) == (exit_status.DONE, exit_status.NOT_UPDATED)


def test_every_command_works_as_printed(kept: Kept, tmp_path: Path) -> None:
    """Those that do not end are still at it when they are interrupted."""
    commands = [line for line in kept.commands if not line.startswith(("export ", "unset "))]
    assert {"celery -A worker inspect stats", "settle top"} < set(commands)
    for command in commands:
        ended = typed(kept, command, tmp_path)
        # On a busy machine a worker may not answer within the second that Celery gives it.
        if "No nodes replied" in ended.stderr:
            ended = typed(kept, f"{command} --timeout 20", tmp_path)
        expected = {TIMED_OUT} if "settle " in command else {exit_status.DONE}
        if "publish" in command:
            # The event may be settled by now.
            expected = {exit_status.DONE, exit_status.NOT_UPDATED}
        assert ended.returncode in expected, (command, ended.stdout, ended.stderr)


def test_flower_shows_the_demos_own_messages(kept: Kept) -> None:
    """All of them: it was there before the first."""
    assert kept.shown["received"] == kept.shown["started"] == SENT
    assert kept.shown["succeeded"] + kept.shown["failed"] == SENT


def test_settled_means_one_number(kept: Kept) -> None:
    """By the table, by the outcomes, and while it runs."""
    flat = " ".join(kept.said.split())
    assert f"settled {EVENTS} events by the table, {EVENTS} by the outcomes" in flat
    (repeats,) = re.findall(r"([\d,]+) of `updated` repeat", flat)
    (updated,) = re.findall(r"│ updated │ ([\d,]+) │", flat)
    assert int(updated.replace(",", "")) - int(repeats.replace(",", "")) == EVENTS
    assert "rows settled" not in flat
    assert "the README's rate is that of a full queue" in flat
