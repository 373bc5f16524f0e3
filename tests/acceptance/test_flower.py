"""Flower, as an operator opens it: what it shows is what happened."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections import Counter
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from cli.embedded import free_port
from settle_client import Producer
from tests.service import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.service import Service

TASK = "events.update_status"
# No look-ups of its own in the background, and no sandbox, which root has not.
CHROMIUM = (
    *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--virtual-time-budget=10000",
)


class Flower:
    """A running Flower."""

    def __init__(self, port: int, process_id: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._process = psutil.Process(process_id)

    def addresses(self) -> set[str]:
        """Return where it listens."""
        found = self._process.net_connections("inet")
        return {one.laddr.ip for one in found if one.status == psutil.CONN_LISTEN}

    def is_up(self) -> bool:
        """Return whether it answers."""
        with suppress(OSError):
            return self.text("/healthcheck") == "OK"
        return False

    def text(self, path: str) -> str:
        """Return what is at a path."""
        with urllib.request.urlopen(f"{self.url}{path}", timeout=10) as answer:  # noqa: S310
            return str(answer.read().decode())

    def tasks(self) -> dict[str, Any]:
        """Return the tasks that it knows, by id."""
        tasks: dict[str, Any] = json.loads(self.text("/api/tasks?limit=10000"))
        return tasks

    def samples(self, metric: str) -> list[tuple[str, float]]:
        """Return the labels and the value of each sample of a metric."""
        found = re.findall(rf"^{metric}{{(.*)}} (.*)$", self.text("/metrics"), re.MULTILINE)
        return [(labels, float(value)) for labels, value in found]

    def page(self, path: str, folder: Path) -> str:
        """Return a page as it is after its scripts have run, as HTML."""
        command = [*CHROMIUM, f"--user-data-dir={folder}", "--dump-dom", f"{self.url}{path}"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def flower(service: Service) -> Iterator[Flower]:
    """Run Flower beside the service, with the permissions of an operator."""
    with running_flower(service.users.operator) as flower:
        yield flower


@contextmanager
def running_flower(broker_url: str, **settings: str) -> Iterator[Flower]:
    """Run Flower while the `with` block lasts."""
    port = free_port()
    command = [sys.executable, "-m", "celery", "-A", "worker", "flower", f"--port={port}"]
    environment = {
        **os.environ,
        "CELERY_BROKER_URL": broker_url,
        "FLOWER_UNAUTHENTICATED_API": "true",
        **settings,
    }
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    flower = Flower(port, process.pid)
    try:
        eventually(flower.is_up)
        yield flower
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def sent(service: Service, flower: Flower) -> dict[str, str]:
    """Settle messages of every kind, with Flower watching, and say what each was told."""
    service.load(*(f"ev_{number}" for number in range(8)))
    service.start_worker("-E")
    eventually(lambda: bool(flower.samples("flower_worker_online")))
    single = [service.send(kwargs={"id": f"ev_{n}", "status": "completed"}).id for n in range(5)]
    service.wait({id_: [f"ev_{n}"] for n, id_ in enumerate(single)})
    updates = [{"id": f"ev_{n}", "status": "failed"} for n in range(4, 8)]
    bulk = service.send(args=[updates]).id
    bad = service.send(kwargs={"id": "ev_1", "status": "done"}).id
    service.wait({bulk: [f"ev_{n}" for n in range(4, 8)], bad: ["ev_1"]})
    return {**dict.fromkeys(single, "1 updated"), bulk: "3 updated, 1 already_completed", bad: ""}


def test_flower_tells_what_became_of_every_message(
    service: Service, flower: Flower, sent: dict[str, str]
) -> None:
    """Its API and its metrics: counts, states, results, runtimes, nothing left prefetched."""
    eventually(lambda: {t["state"] for t in flower.tasks().values()} == {"SUCCESS", "FAILURE"})
    tasks = flower.tasks()
    assert set(tasks) == set(sent)
    for id_, result in sent.items():
        task = tasks[id_]
        assert task["name"] == TASK
        assert task["received"] <= task["started"]
        if result:
            assert (task["state"], task["result"]) == ("SUCCESS", result)
            assert task["runtime"] > 0
        else:
            assert task["state"] == "FAILURE"
            assert "status: must be 'completed' or 'failed'" in task["exception"]
    assert "'id': 'ev_0'" in tasks[next(iter(sent))]["kwargs"]

    counted = Counter[str]()
    for labels, value in flower.samples("flower_events_total"):
        if f'task="{TASK}"' in labels:
            counted[re.findall(r'type="([^"]*)"', labels)[0]] += int(value)
    assert counted == {
        "task-received": 7,
        "task-started": 7,
        "task-succeeded": 6,
        "task-failed": 1,
    }
    assert [value for _, value in flower.samples("flower_worker_prefetched_tasks")] == [0]
    assert sum(value for _, value in flower.samples("flower_task_runtime_seconds_count")) == 6
    inspect = service.operator.control.inspect(timeout=10, limit=1)
    (stats,) = inspect.stats().values()
    assert stats["total"] == {TASK: 7}


def test_flower_shows_the_first_ids_of_many(service: Service, flower: Flower) -> None:
    """As `settle publish` and the client's producers send them: by one of them it is found."""
    service.start_worker("-E")
    eventually(lambda: bool(flower.samples("flower_worker_online")))
    updates = [{"id": f"ev_{number}", "status": "failed"} for number in range(1_000)]
    with Producer(service.users.producer) as producer:
        sent = producer.send_together(updates)
    eventually(lambda: sent in flower.tasks())
    assert flower.tasks()[sent]["args"] == "['ev_0', 'ev_1', … 998 more]"


def test_flower_listens_on_loopback_alone(flower: Flower) -> None:
    """As it is started in the README: it asks for no password, and shows what is in messages."""
    assert flower.addresses() == {"127.0.0.1"}


def test_flower_is_opened_with_a_password(service: Service) -> None:
    """As docs/watching.md says: everywhere, to those who know it."""
    opened = {"FLOWER_ADDRESS": "0.0.0.0", "FLOWER_BASIC_AUTH": "settle:secret"}  # noqa: S104
    with running_flower(service.users.operator, **opened) as flower:
        assert flower.addresses() == {"0.0.0.0"}  # noqa: S104
        with pytest.raises(urllib.error.HTTPError, match="401"):
            flower.text("/tasks")
        assert flower.samples("flower_worker_online") == []


@pytest.mark.browser
def test_flowers_pages_show_it(flower: Flower, sent: dict[str, str], tmp_path: Path) -> None:
    """As a person sees them in a browser."""
    if not shutil.which("chromium"):
        if os.environ.get("CI"):
            pytest.fail("chromium is not installed")
        pytest.skip("chromium is not installed")
    eventually(lambda: {t["state"] for t in flower.tasks().values()} == {"SUCCESS", "FAILURE"})
    shown = flower.page("/tasks", tmp_path)
    assert all(f'<tr id="{id_}"' in shown for id_ in sent)
    assert (shown.count(">SUCCESS<"), shown.count(">FAILURE<")) == (6, 1)
    for id_, result in sent.items():
        if result.startswith("3"):
            assert result in flower.page(f"/task/{id_}", tmp_path)
        elif not result:
            assert "status: must be" in flower.page(f"/task/{id_}", tmp_path)
    workers = flower.page("/workers", tmp_path)
    (row,) = re.findall(r"<tr[^>]*>(?:(?!</tr>).)*w0@(?:(?!</tr>).)*</tr>", workers, re.DOTALL)
    cells = [re.sub(r"<[^>]*>", "", c).strip() for c in re.findall(r"<td.*?</td>", row, re.DOTALL)]
    # Active, processed, failed, succeeded.
    assert [cell for cell in cells if cell.isdigit()][:4] == ["0", "7", "1", "6"]
