"""settle-client as its users get it: built, and installed beside their own code."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.building import ROOT, uv

if TYPE_CHECKING:
    from pathlib import Path

    from tests.service import Service


# Its own modules have the names of ours.
PROJECT = {
    "tasks.py": "MINE = 'tasks'\n",
    "worker.py": "MINE = 'worker'\n",
    "db.py": "MINE = 'db'\n",
    "shop.py": """
import asyncio, json, sys
from importlib.metadata import distributions

import db, tasks, worker
from settle_client import (
    AddressError, AsyncOutcomeClient, AsyncProducer, HttpClient, Outcome, OutcomeClient, Producer,
    StatusUpdate
)

assert (db.MINE, tasks.MINE, worker.MINE) == ("db", "tasks", "worker")
broker, channel = sys.argv[1:]


def sync() -> Outcome:
    with OutcomeClient(channel) as outcomes, Producer(broker) as producer:
        since = outcomes.position()
        message_id = producer.send(StatusUpdate("ev_1", "completed"))
        return next(outcomes.wait({message_id: ["ev_1"]}, timeout_seconds=60, since=since))


async def asynchronous() -> Outcome:
    async with AsyncOutcomeClient(channel) as outcomes, AsyncProducer(broker) as producer:
        since = await outcomes.position()
        message_id = await producer.send({"id": "ev_2", "status": "failed"})
        wait = outcomes.wait({message_id: ["ev_2"]}, timeout_seconds=60, since=since)
        return await anext(wait)


for make, url in ((Producer, "amqp://localhost//"), (HttpClient, "http://localhost")):
    try:
        make(url)
    except AddressError as error:
        print(error)
outcomes = [outcome.to_dict() for outcome in (sync(), asyncio.run(asynchronous()))]
installed = sorted(each.name.lower() for each in distributions())
print(json.dumps({"outcomes": [each["updated"] for each in outcomes], "installed": installed}))
""",
}


class Built(NamedTuple):
    """The two files of a release."""

    wheel: Path
    sdist: Path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Build a release."""
    folder = tmp_path_factory.mktemp("dist")
    uv("build", "--package", "settle-client", "--out-dir", folder)
    ((wheel,), (sdist,)) = (folder.glob("*.whl"), folder.glob("*.tar.gz"))
    return Built(wheel, sdist)


def test_both_files_are_whole(built: Built) -> None:
    """The types, the license and what there is to read; and nothing that is the service's."""
    with zipfile.ZipFile(built.wheel) as wheel:
        names = wheel.namelist()
        (metadata,) = (name for name in names if name.endswith("/METADATA"))
        described = wheel.read(metadata).decode()
    assert "settle_client/py.typed" in names
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    assert (ROOT / "client/README.md").read_text("utf-8") in described
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"settle_client"}
    with tarfile.open(built.sdist) as sdist:
        inside = {name.partition("/")[2] for name in sdist.getnames()}
    assert inside >= {"settle_client/py.typed", "LICENSE", "README.md", "pyproject.toml"}


def test_the_license_is_the_services() -> None:
    """The same words, for a release holds nothing from above its folder."""
    texts = {(ROOT / place).read_text("utf-8") for place in ("LICENSE", "client/LICENSE")}
    assert len(texts) == 1


def test_it_is_used_beside_a_project_of_the_same_names(
    built: Built, service: Service, tmp_path: Path
) -> None:
    """In an environment with nothing else: updates are sent, and outcomes read, by both faces."""
    environment = tmp_path / "environment"
    python = environment / "bin" / "python"
    uv("venv", "--quiet", "--python", sys.executable, environment)
    uv("pip", "install", "--quiet", "--python", python, built.wheel)
    project = tmp_path / "shop"
    project.mkdir()
    for name, text in PROJECT.items():
        (project / name).write_text(text, "utf-8")
    service.load("ev_1", "ev_2")
    service.start_worker()
    ended = subprocess.run(
        [python, "shop.py", service.users.producer, service.users.consumer],
        cwd=project,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert '"outcomes": [true, true]' in ended.stdout
    assert "pip install settle-client[rabbitmq]" in ended.stdout
    assert "pip install settle-client[http]" in ended.stdout
    for name in ("kombu", "httpx", "celery", "pydantic", "sqlalchemy"):
        assert f'"{name}"' not in ended.stdout
