"""Graphile Worker, a queue in PostgreSQL for Node.js: installed, filled, and how it is run.

What it does with a job is in `graphile/worker.mjs`; the statements are those of the other peers.
"""

from __future__ import annotations

import atexit
import json
import re
import shutil
import subprocess
from contextlib import ExitStack
from functools import cache
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from bench.errors import BenchError, LeftOutError
from bench.peers.same_job import SELECT, UPDATE
from cli.embedded import temporary_folder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SOURCE = Path(__file__).parent / "graphile"
# What the lock file names, from npm's own cache where it has it.
INSTALL = ("npm", "ci", "--no-audit", "--no-fund")
PATIENCE_SECONDS = 300
JOBS_AT_ONCE = 10_000
ADD_JOBS = """
SELECT count(*) FROM graphile_worker.add_jobs(ARRAY(
    SELECT ROW(%s, payload, NULL, NULL, NULL, NULL, NULL, NULL)::graphile_worker.job_spec
    FROM unnest(%s::json[]) WITH ORDINALITY AS job (payload, position) ORDER BY position))
"""

_KEPT = ExitStack()
atexit.register(_KEPT.close)


@cache
def folder() -> Path:
    """Return where it is; it is installed when first asked for, kept while this process lasts.

    Raises:
        LeftOutError: There is no Node.js here.
        BenchError: It cannot be installed.
    """
    if not (shutil.which("node") and shutil.which("npm")):
        raise LeftOutError("no Node.js here: install nodejs and npm")
    place = _KEPT.enter_context(temporary_folder()) / "graphile"
    shutil.copytree(SOURCE, place, ignore=shutil.ignore_patterns("node_modules"))
    _run(INSTALL, place, "npm could not install Graphile Worker")
    return place


def _run(command: Sequence[str], place: Path, failed: str) -> None:
    try:
        subprocess.run(
            command, cwd=place, check=True, capture_output=True, timeout=PATIENCE_SECONDS
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise BenchError(failed) from error


def command() -> list[str]:
    """Return the command line of one process."""
    return ["node", str(folder() / "worker.mjs")]


def statements() -> dict[str, str]:
    """Return, as environment variables, what the other peers let PostgreSQL do."""
    return {"UPDATE": numbered(UPDATE), "SELECT": numbered(SELECT)}


def numbered(statement: str) -> str:
    """Write a statement's parameters as PostgreSQL does itself."""
    number = count(1)
    return re.sub("%s", lambda _: f"${next(number)}", statement)


def fill(database_url: str, task: str, updates: Sequence[Mapping[str, str]], each: int) -> None:
    """Begin with an empty queue of it, and jobs.

    Args:
        database_url: Where.
        task: What they are for.
        updates: That they carry, in order.
        each: How many a job carries, as an array if that is more than one.

    Raises:
        BenchError: Its tables cannot be made.
    """
    starts = range(0, len(updates), each)
    payloads = updates if each == 1 else [updates[first : first + each] for first in starts]
    drop(database_url)
    cli = str(folder() / "node_modules/graphile-worker/dist/cli.js")
    make_tables = ("node", cli, "--schema-only", "--connection", database_url)
    _run(make_tables, folder(), "Graphile Worker could not make its tables")
    with psycopg.connect(database_url, autocommit=True) as connection:
        for first in range(0, len(payloads), JOBS_AT_ONCE):
            some = payloads[first : first + JOBS_AT_ONCE]
            connection.execute(ADD_JOBS, [task, [json.dumps(payload) for payload in some]])
        connection.execute("VACUUM ANALYZE graphile_worker._private_jobs")


def drop(database_url: str) -> None:
    """Remove its tables, if it has been there."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("SET client_min_messages = warning")
        connection.execute("DROP SCHEMA IF EXISTS graphile_worker CASCADE")
