"""`settle init` on servers that nobody has set up, and what the service is then content with."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from contextlib import ExitStack, closing
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg
import pytest
import redis

from cli.embedded import Postgres, Redis
from tests.service import LoggedProcess
from tests.started import started

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.storms

# As Debian's packages leave it, but that the administrator comes by TCP, too.
RULES = "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"


class Begun(NamedTuple):
    """Servers, and the folder with what was entered there."""

    postgres: Postgres
    redis: Redis
    folder: Path

    def environment(self, process: str) -> dict[str, str]:
        """Return the environment of a kind of process, and nothing else of ours."""
        lines = (self.folder / f"{process}.env").read_text("utf-8").split()
        return {"PATH": os.environ["PATH"], **dict(line.split("=", 1) for line in lines)}

    def settle(self, process: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the command as a kind of process."""
        return subprocess.run(
            [sys.executable, "-m", "cli", *arguments],
            env=self.environment(process),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def enter_sql(self, name: str, database: str) -> None:
        """Enter a file into psql, as PostgreSQL's administrator."""
        url = self.postgres.url.rpartition("/")[0]
        subprocess.run(
            [self.postgres.binary("psql"), "-v", "ON_ERROR_STOP=1", f"{url}/{database}"],
            input=(self.folder / name).read_bytes(),
            check=True,
            capture_output=True,
        )

    def enter_users(self) -> None:
        """Enter the lines for Redis, as its administrator; it has no file to write them into."""
        with redis.Redis.from_url(self.redis.url) as client:
            owner: Any = client
            for line in (self.folder / "users.acl").read_text("utf-8").splitlines():
                if line and line != "CONFIG REWRITE":
                    owner.execute_command(*shlex.split(line))


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Begun]:
    """Do what the command says on servers that were just installed."""
    with ExitStack() as stack:
        postgres = stack.enter_context(started(partial(Postgres, durable=True)))
        broker = stack.enter_context(started(Redis))
        (postgres.directory / "data" / "pg_hba.conf").write_text(RULES)
        with psycopg.connect(postgres.url, autocommit=True) as owner:
            owner.execute("SELECT pg_reload_conf()")
        begun = Begun(postgres, broker, tmp_path_factory.mktemp("init") / "access")
        ended = subprocess.run(
            [
                *(sys.executable, "-m", "cli", "init", str(begun.folder)),
                *(f"--postgres=127.0.0.1:{postgres.port}", f"--redis=127.0.0.1:{broker.port}"),
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        typed = re.findall(r"(\w+\.(?:sql|acl|env))", ended.stdout)
        assert typed[:4] == ["database.sql", "users.acl", "owner.env", "roles.sql"]
        begun.enter_sql("database.sql", "postgres")
        begun.enter_users()
        migrated = begun.settle("owner", "migrate")
        assert migrated.returncode == 0, migrated.stderr
        begun.enter_sql("roles.sql", "settle")
        yield begun


def test_a_service_can_begin_and_the_doctor_is_content(begun: Begun) -> None:
    """With a password for everybody, and no more rights than needed."""
    with psycopg.connect(f"{begun.postgres.url.rpartition('/')[0]}/settle") as owner:
        owner.execute("INSERT INTO events VALUES ('ev_1', 'acct_9', 'order.created', '{}', now())")
    command = (sys.executable, "-m", "celery", "-A", "worker", "worker")
    worker = LoggedProcess(
        begun.folder / "log", {**begun.environment("worker"), "C_FORCE_ROOT": "1"}, *command
    )
    with closing(redis.Redis.from_url(begun.redis.url, decode_responses=True)) as owner:
        try:
            worker.wait_for_log("settle_worker has what it needs and no more")
            sent = begun.settle("producer", "publish", "ev_1", "completed", "--wait")
            assert (sent.returncode, sent.stdout) == (0, "ev_1  completed  updated\n")
            examined = begun.settle("worker", "doctor", "--json")
            findings = json.loads(examined.stdout)["checks"]
            assert examined.returncode == 0
            unsure = [one for one in findings if one["verdict"] != "ok"]
            # Whoever may not read its configuration cannot know.
            assert [(one["check"], one["verdict"]) for one in unsure] == [
                ("persistence", "unknown")
            ]
            assert begun.settle("operator", "top", "--once").returncode == 0
            removed = begun.settle("housekeeper", "retention", "--outcomes", "7d")
            assert removed.returncode == 0, removed.stderr
        finally:
            worker.stop()
        denied: Any = owner.acl_log()
    # The doctor asks for it, and makes do without.
    assert {one["object"] for one in denied} <= {"config|get"}
    log = worker.log.read_text()
    assert not {"database cannot be used", "database could be better"} & set(log.split('"'))


def test_nobody_comes_in_without_a_password(begun: Begun) -> None:
    """Where the server asks for one, as Debian's does."""
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(f"postgresql://settle_worker@127.0.0.1:{begun.postgres.port}/settle")
