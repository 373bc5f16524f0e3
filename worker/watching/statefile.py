"""The file in which a worker says how it is, for probes that are commands.

It is written every couple of seconds and is old when its worker says nothing any
more. Times in it are of the monotonic clock, which all processes of a machine
share and nobody sets. Imports nothing that takes time.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from worker.watching.judging import Judgement

PREFIX = "settle-worker-"
STALE_SECONDS = 15.0
VARIABLE = "SETTLE_HEALTH_FILE"
BROKER_VARIABLE = "CELERY_BROKER_URL"
CREDENTIALS = re.compile(r"(?<=//)[^/]*@")


def default_path(node: str) -> Path:
    """Return where a worker of some node name writes, if nothing else is set.

    Workers of other services, with brokers of their own, may have the same node name, and
    what another user has left in the temporary directory cannot be replaced. So both
    are in the name.
    """
    name = re.sub(r"[^\w.@*-]", "_", node)
    return Path(tempfile.gettempdir()) / f"{_prefix()}{name}.json"


def _prefix() -> str:
    # Read here, as settings take longer to load than a probe may. Whoever asks may have
    # a user of its own on the broker.
    broker = CREDENTIALS.sub("", os.environ.get(BROKER_VARIABLE, ""))
    digest = hashlib.sha256(broker.encode(errors="surrogateescape")).hexdigest()
    return f"{PREFIX}{os.getuid()}-{digest[:8]}-"


def write(path: Path, state: dict[str, Any]) -> None:
    """Put a state in place of the one before, whole at any moment.

    Raises:
        OSError: The folder is not there, or not to be written.
    """
    # A name that nobody can have prepared: the folder may be everybody's.
    handle, name = tempfile.mkstemp(prefix=PREFIX, suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(state, stream)
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise


def find(node: str) -> Path:
    """Return the file of a worker of this machine.

    Args:
        node: Its node name; '' for the only one there is.

    Raises:
        LookupError: There is none, or more than one.
    """
    if node:
        return default_path(node)
    if configured := os.environ.get(VARIABLE):
        return Path(configured)
    everybody = default_path("*")
    there = [path for path in everybody.parent.glob(everybody.name) if _is_of_one(path)]
    if len(there) == 1:
        return there[0]
    if not there:
        raise LookupError(
            f"no worker of this user and {BROKER_VARIABLE} runs here, or it writes elsewhere: "
            f"see {VARIABLE}"
        )
    nodes = ", ".join(sorted(path.stem.removeprefix(_prefix()) for path in there))
    raise LookupError(f"several workers run here: name one with --node ({nodes})")


def _is_of_one(path: Path) -> bool:
    with suppress(OSError, ValueError, KeyError, TypeError):
        if path.lstat().st_uid != os.getuid():
            return False
        state = json.loads(path.read_text(encoding="utf-8"))
        os.kill(state["pid"], 0)
        # Numbers come again: another process may have that of a worker which was killed.
        return state.get("process_began", "") in ("", process_began(state["pid"]))
    return False


def process_began(pid: int) -> str:
    """Return when a process began, as Linux counts; '' where nobody says."""
    with suppress(OSError, IndexError):
        # Its name, in parentheses, may have any character: proc(5).
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[19]
    return ""


def look_up(path: Path, question: str, now: float) -> Judgement:
    """Return what a worker says of itself.

    Args:
        path: Its file.
        question: `live` or `ready`.
        now: In seconds, of the monotonic clock.
    """
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
        written_at, (holds, why) = float(state["written_at"]), state[question]
    except OSError as error:
        return Judgement(False, f"no worker has written {path}: {error.strerror}")
    except (ValueError, KeyError, TypeError):
        return Judgement(False, f"{path} is not what a worker writes")
    # A time ahead of now is from before the machine was started.
    if not 0 <= now - written_at <= STALE_SECONDS:
        return Judgement(False, f"the worker says nothing any more: {path} is old")
    return Judgement(bool(holds), str(why))
