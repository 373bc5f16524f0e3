"""The Lua scripts that Redis runs: files that can be read, checked and packed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from gateway.access.shared_buckets import TAKE
from tasks.dead_letters import REPLACE_LETTER
from tasks.latest_letters import DESCRIBE_LETTERS
from tasks.publishing import KEEP_DEAD_LETTER, PUBLISH_OUTCOMES, TRY_ADDING
from tasks.retention import COUNT_ENTRIES
from tasks.room import MAKE_ROOM
from webhooks import scripts as pushing
from worker.transport.redis import scripts

ROOT = Path(__file__).parents[2]
FOLDERS = ("gateway", "tasks", "webhooks", "worker")
FILES = sorted(file for folder in FOLDERS for file in ROOT.joinpath(folder).rglob("*.lua"))
RUN = (
    *(scripts.FETCH, scripts.EXPIRED, scripts.LOOK_UP, scripts.MOVE, scripts.RENEW, scripts.FORMER),
    *(scripts.BIND, scripts.BIND_FOR_A_WHILE),
    *(PUBLISH_OUTCOMES, KEEP_DEAD_LETTER, TRY_ADDING, COUNT_ENTRIES, MAKE_ROOM),
    *(DESCRIBE_LETTERS, REPLACE_LETTER),
    *(scripts.DELAY, scripts.DUE, scripts.NOTE),
    TAKE,
    *(pushing.ROUTE, pushing.CLAIM, pushing.TAKE, pushing.FINISH, pushing.REPLAY, pushing.ENABLE),
)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.stem))
def test_the_head_of_a_script_says_how_it_is_called(file: Path) -> None:
    """What it takes, what it returns, and which names the linter is to know."""
    head = file.read_text("utf-8").partition("\n\n")[0]
    assert re.match("-- luacheck: read globals redis .*KEYS ARGV\n--\n-- [A-Z]", head)
    assert re.search("^-- KEYS: .*^-- ARGV.*: .*^-- Returns ", head, re.MULTILINE | re.DOTALL)


def test_luacheck_has_nothing_to_say_of_any_script() -> None:
    """Syntax, names that nobody has set, and names that nobody uses."""
    luacheck = shutil.which("luacheck")
    if luacheck is None:
        assert not os.environ.get("CI"), "no luacheck: install Debian's lua-check"
        pytest.skip("no luacheck: install Debian's lua-check")
    options = ("--no-config", "--no-color", "--max-line-length", "100")
    command = [luacheck, *options, *map(str, FILES)]
    checked = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (checked.returncode, checked.stderr) == (0, ""), checked.stdout


def test_every_script_is_a_file_and_every_file_is_run() -> None:
    """And Redis is given what stands in it, whole."""
    texts = [each if isinstance(each, str) else each.text for each in RUN]
    assert sorted(texts) == sorted(file.read_text("utf-8") for file in FILES)


def test_python_and_the_fetch_mean_the_same_by_what_is_left() -> None:
    """Both have names for the three numbers, and neither can see the other's."""
    named = re.search(r"^local NOTHING, MORE, SUSPECTS = (.*)$", scripts.FETCH.text, re.MULTILINE)
    assert named
    assert named[1] == f"{scripts.NOTHING}, {scripts.MORE}, {scripts.SUSPECTS}"
