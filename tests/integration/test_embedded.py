"""The servers that come with the package."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
import redis

from cli.embedded import Postgres, Redis, ServerUnavailable, binaries, servers, temporary_folder
from tests.service import eventually
from tests.started import or_skipped

START_BOTH = """
import sys, time
from cli.embedded import servers
with servers() as running:
    print(running.postgres.pid, running.redis.pid, running.redis.directory.parent, flush=True)
    if "wait" in sys.argv: time.sleep(600)
"""


@pytest.fixture(autouse=True)
def _available(tmp_path: Path) -> None:
    with or_skipped(ServerUnavailable):
        binaries.redis_binary()
        binaries.postgres_binaries(tmp_path)


def test_both_servers_run_while_the_block_lasts() -> None:
    """They answer inside, and are gone after it with their folder."""
    with servers() as running:
        with psycopg.connect(running.postgres.url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        with redis.Redis.from_url(running.redis.url) as client:
            assert client.ping()
        folder = running.redis.directory.parent
        pids = [running.postgres.pid, running.redis.pid]
    assert not folder.exists()
    assert not any(is_running(pid) for pid in pids)


def test_a_restarted_server_keeps_its_data_and_port(tmp_path: Path) -> None:
    """Also after it was stopped as in a crash."""
    with Redis(tmp_path / "redis", append_only=True, append_fsync="always") as server:
        url = server.url
        with redis.Redis.from_url(url) as client:
            client.set("key", "value")
        server.stop(immediate=True)
        server.start()
        assert server.url == url
        with redis.Redis.from_url(url, decode_responses=True) as client:
            assert client.get("key") == "value"


def test_a_server_has_read_its_data_before_it_is_used(tmp_path: Path) -> None:
    """However long that takes: nobody is told that it is still loading."""

    class Slow(Redis):
        def command(self) -> list[str]:
            loads_slowly = ["--key-load-delay", "100", "--loading-process-events-interval-bytes"]
            return [*super().command(), *loads_slowly, "1024"]

    with Slow(tmp_path / "redis", append_only=True) as server:
        with redis.Redis.from_url(server.url) as client:
            client.mset({f"key{number}": number for number in range(2_000)})
            client.bgrewriteaof()
            eventually(lambda: not client.info("persistence")["aof_rewrite_in_progress"])
        server.stop()
        server.start()
        with redis.Redis.from_url(server.url, retry=None) as client:
            assert client.dbsize() == 2_000


@pytest.mark.parametrize("immediate", [False, True], ids=["orderly", "as in a crash"])
def test_a_restarted_database_keeps_its_rows_and_port(immediate: bool) -> None:
    """What was committed is there, at the same address."""
    with temporary_folder() as folder, Postgres(folder / "postgres") as server:
        url = server.url
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
        server.stop(immediate=immediate)
        server.start()
        assert server.url == url
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT number FROM kept").fetchone() == (7,)


def test_a_failing_server_leaves_nothing_of_the_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The database is still being made when the broker fails."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(Redis, "command", lambda _: ["/nonexistent"])
    made = []
    prepare = Postgres.prepare
    monkeypatch.setattr(Postgres, "prepare", lambda self: made.append(prepare(self)))
    with pytest.raises(ServerUnavailable, match="nonexistent"), servers():
        pass
    assert made
    assert made[0]._initdb is None
    assert not list(tmp_path.iterdir())


def test_an_interrupted_start_leaves_no_server(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Ctrl-C may come while it is waited for."""
    pids = []

    def interrupted(server: Redis) -> bool:
        pids.append(server.pid)
        raise KeyboardInterrupt

    monkeypatch.setattr(Redis, "answers", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Redis(tmp_path).start()
    assert pids
    assert not is_running(pids[0])


def test_a_second_start_changes_nothing(tmp_path: Path) -> None:
    """The process is the same, and there is one to stop."""
    with Redis(tmp_path) as server:
        pid = server.pid
        assert server.start().pid == pid


def test_a_relative_folder_is_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The server runs elsewhere than its caller."""
    monkeypatch.chdir(tmp_path)
    with Redis(Path("redis")):
        assert (tmp_path / "redis" / "server.log").exists()


def test_several_servers_run_side_by_side(tmp_path: Path) -> None:
    """Each finds a port of its own."""
    with Redis(tmp_path / "one") as one, Redis(tmp_path / "two") as two:
        assert one.port != two.port


def test_a_killed_parent_leaves_no_server_behind() -> None:
    """The kernel sends the servers a signal."""
    parent = subprocess.Popen(
        [sys.executable, "-c", START_BOTH, "wait"], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    *numbers, folder = parent.stdout.readline().split()
    pids = [int(number) for number in numbers]
    assert all(is_running(pid) for pid in pids)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    eventually(lambda: not any(is_running(pid) for pid in pids))
    # Nobody is left who could have removed it.
    shutil.rmtree(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another way")
def test_root_without_user_namespaces_runs_a_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL then runs as nobody, from a folder of ours."""
    monkeypatch.setattr(binaries, "_user_namespaces_work", lambda: False)
    with servers() as running:
        assert running.postgres.user == "nobody"
        with psycopg.connect(running.postgres.url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_an_ordinary_user_starts_both() -> None:
    """As most people run it."""
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", START_BOTH]
    try:
        done = subprocess.run(
            command,
            cwd=root,
            user="nobody",
            group="nogroup",
            extra_groups=[],
            text=True,
            capture_output=True,
            check=False,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(root),
                "PYTHONDONTWRITEBYTECODE": "1",
            },
        )
    except PermissionError:
        pytest.skip("nobody may not read this Python")
    assert done.returncode == 0, done.stderr
    assert not any(is_running(int(pid)) for pid in done.stdout.split()[:2])


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    """Its last words are in the error."""
    with (
        Redis(tmp_path / "one") as one,
        pytest.raises(ServerUnavailable, match=r"(?i)bind|address"),
    ):
        Redis(tmp_path / "two", port=one.port).start()


def test_without_binaries_the_error_names_the_fix(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Install the extra, or name servers of one's own."""
    monkeypatch.setattr(binaries, "_package_folder", lambda _: None)
    monkeypatch.setattr(binaries, "_system_postgres", lambda: None)
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(ServerUnavailable, match=r"\.\[embedded\]"):
        Postgres(tmp_path)
    with pytest.raises(ServerUnavailable, match=r"\.\[embedded\]"):
        Redis(tmp_path).start()


def is_running(pid: int | None) -> bool:
    """Return whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
