"""A service behind sentinels that ask who is there."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from cli.embedded import Redis, temporary_folder
from tests.gateway import Gateways, completed
from tests.sentinel import sentinel
from tests.service import Service

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.storms

SECRET = "hush%41;&@"  # noqa: S105


def test_everybody_of_a_service_finds_the_primary_and_shows_no_password(
    database_url: str, tmp_path: Path
) -> None:
    """A worker, a gateway that answers later, the doctor and `settle top`; in no log or answer."""
    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder())
        primary = stack.enter_context(Redis(folder / "primary"))
        guard = f"requirepass {SECRET}"
        url = stack.enter_context(sentinel(primary, folder, guard=guard))
        service = stack.enter_context(closing(Service(database_url, primary.url, tmp_path)))
        service.load("ev_1", "ev_2")
        told = {
            **dict.fromkeys(
                ("CELERY_BROKER_URL", "CELERY_RESULT_BACKEND", "SETTLE_OUTCOME_URL"), url
            ),
            "SETTLE_SENTINEL_MASTER": "settle",
            "SETTLE_SENTINEL_PASSWORD": SECRET,
        }
        worker = service.start_worker(**told)
        sent = service.send(kwargs={"id": "ev_1", "status": "completed"}, ignore_result=True)
        assert service.wait({sent.id: ["ev_1"]})[sent.id][0].updated
        gateways = Gateways(service)
        gateway = gateways.start(**told)
        stack.callback(gateway.kill)
        answer = gateway.patch(completed("ev_2"), prefer="respond-async", idempotency_key="once")
        assert answer.status == 202
        assert service.wait({"once": ["ev_2"]})["once"][0].updated

        shown = worker.log.read_text() + gateway.log.read_text()
        celery = ("-m", "celery", "-A", "worker")
        for command in (
            ("-m", "cli", "doctor"),
            ("-m", "cli", "config"),
            ("-m", "cli", "top", "--json", "--once"),
            (*celery, "inspect", "stats"),
            (*celery, "inspect", "conf"),
            (*celery, "report"),
        ):
            ended = subprocess.run(
                [sys.executable, *command],
                env={**os.environ, **service.environment, **told},
                capture_output=True,
                text=True,
                check=False,
            )
            assert ended.stdout, ended.stderr
            assert ended.returncode == 0 or "doctor" in command, ended.stderr
            assert "Traceback" not in ended.stderr
            shown += ended.stdout + ended.stderr
        assert SECRET not in shown
        assert quote(SECRET, safe="") not in shown
