"""Changes of the code that no test notices: `uv run --group mutation python -m tests.mutation`.

Arguments are names of mutants, also with `*`, to be tried again; without any, those are
tried that were not tried yet. Which modules are changed, and which tests look, is in
pyproject.toml. The servers are started once, and not for every mutant.

It all happens in `.mutation`, where the packages are laid out side by side, for mutmut
tells modules by their paths. `mutmut show NAME` there prints the change that a mutant is.
Decorated functions and what stands outside of functions are not changed.
"""

from __future__ import annotations

import faulthandler
import os
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
import psycopg
import pytest
import redis

from cli.embedded import servers

if TYPE_CHECKING:
    from collections.abc import Generator

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".mutation"
PACKAGES = ("cli", "worker", "gateway", "webhooks", "service", "tasks", "settle_client", "db")
NOT_LAID_OUT = (".git", ".venv", FOLDER.name)
OF_MUTMUT = (".py", ".pyc", ".meta")
# Longer than any test takes as the code is, also on a busy machine.
TEST_SECONDS = 30
# A mutant that runs into its time limit is noticed too.
NOTICED = ("killed", "timeout")
OTHERS = ("survived", "no tests", "suspicious", "segfault", "not checked")


def pytest_sessionstart() -> None:
    """Remove what a mutant that ran into its time limit has left on the servers."""
    with redis.Redis.from_url(os.environ["CELERY_BROKER_URL"]) as client:
        client.flushall()
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        left = connection.execute("SELECT datname FROM pg_database WHERE datname LIKE 'settle%'")
        for (name,) in left.fetchall():
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    """Let a test fail that comes to no end, where the code is changed."""
    if "__mutmut_" in os.environ.get("MUTANT_UNDER_TEST", ""):
        faulthandler.dump_traceback_later(TEST_SECONDS, exit=True)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


def pytest_runtest_setup() -> None:
    """Forget what is cached, so that every test is seen to come by what it uses."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in PACKAGES:
            for it in vars(module).values():
                if hasattr(it, "cache_clear"):
                    it.cache_clear()


def lay_out() -> None:
    """Link everything side by side, the client's package beside the others."""
    FOLDER.mkdir(exist_ok=True)
    for path in (*ROOT.iterdir(), *(ROOT / "client").glob("settle_*")):
        link = FOLDER / path.name
        if path.name not in NOT_LAID_OUT and not link.is_symlink():
            link.symlink_to(path)


def renew(folder: Path) -> None:
    """Bring what is not Python in an earlier run's copy up to date: mutmut leaves it as it is.

    Args:
        folder: Where packages are laid out; the copies are in `mutants` below it.
    """
    copies = folder / "mutants"
    for package in PACKAGES:
        for copy in (copies / package).rglob("*"):
            # Of modules mutmut knows which it has to write anew.
            if copy.is_dir() or copy.suffix in OF_MUTMUT:
                continue
            source = folder / copy.relative_to(copies)
            if source.is_file():
                shutil.copy2(source, copy)
            else:
                copy.unlink()


def run(names: list[str]) -> int:
    """Try mutants, one at a time, leave the machine to others, and return the exit code."""
    with servers() as (postgres, broker):
        environment = os.environ | {
            "DATABASE_URL": postgres.url,
            "CELERY_BROKER_URL": broker.url,
        }
        command = ["nice", "mutmut", "run", "--max-children", "1", *names]
        return subprocess.run(command, cwd=FOLDER, env=environment, check=False).returncode


def table() -> str:
    """Return how many mutants each module has, how many are noticed, and how the others fare."""
    listed = subprocess.run(
        ["mutmut", "results", "--all", "true"],
        cwd=FOLDER,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for line in listed.stdout.splitlines():
        mutant, _, status = line.strip().rpartition(": ")
        module = mutant.rpartition(".")[0]
        for name in (module, module.partition(".")[0] + ".*"):
            counts[name][status] += 1
    rows: list[tuple[str, ...]] = [("", "mutants", "noticed", *OTHERS)]
    for name, count in sorted(counts.items()):
        noticed = sum(count[status] for status in NOTICED)
        rows.append((name, *map(str, (count.total(), noticed, *(count[it] for it in OTHERS)))))
    return "\n".join(f"{row[0]:40}" + "".join(f"{it:>12}" for it in row[1:]) for row in rows)


if __name__ == "__main__":
    lay_out()
    renew(FOLDER)
    code = run(sys.argv[1:])
    click.echo(table())
    sys.exit(code)
