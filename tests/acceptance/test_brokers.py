"""Brokers behind TLS, and behind sentinels."""

from __future__ import annotations

import ssl
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import pytest
import redis
import trustme
from click.testing import CliRunner

from cli.doctor.examination import examine
from cli.doctor.parts import broker_part, result_channel_part
from cli.embedded import Redis, temporary_folder
from cli.main import main
from service.finding import Verdict
from service.settings import Settings
from tests.faults.network import Link
from tests.sentinel import sentinel
from tests.service import Service, eventually

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.storms


@pytest.mark.parametrize("spelled", ["required", "CERT_REQUIRED", "CERT_NONE"])
def test_a_broker_behind_tls(
    redis_url: str, database_url: str, tmp_path: Path, spelled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its certificate is checked as the URL says, in redis-py's words or in Celery's, by all."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trusted = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(trusted))
    port = int(redis_url.rpartition(":")[2].partition("/")[0])
    with Link(port, tls=context) as link:
        secured = link.through(redis_url).replace("redis://", "rediss://")
        secured += f"?ssl_cert_reqs={spelled}"
        if spelled != "CERT_NONE":
            secured += f"&ssl_ca_certs={trusted}"
        with closing(Service(database_url, redis_url, tmp_path)) as service:
            service.load("ev_1")
            urls = ("CELERY_BROKER_URL", "SETTLE_OUTCOME_URL", "CELERY_RESULT_BACKEND")
            service.start_worker(**dict.fromkeys(urls, secured))
            sent = service.send(kwargs={"id": "ev_1", "status": "completed"}, ignore_result=True)
            assert service.wait({sent.id: ["ev_1"]})[sent.id][0].updated
            service.wait_until_empty()
        for name in urls:
            monkeypatch.setenv(name, secured)
        settings = Settings()
        for part, check in ((broker_part, "rights"), (result_channel_part, "publishing")):
            checks = {result.check: result.finding for result in examine(part(settings))}
            assert checks[check].verdict is Verdict.OK
        for command in (["dead", "list"], ["retention", "--dead-letters", "1d"]):
            assert CliRunner().invoke(main, command).exit_code == 0


def wait_for_failover(client: redis.Redis) -> None:
    """Wait until a replica has become the primary."""
    eventually(lambda: client.info("replication")["role"] == "master")


def test_a_broker_behind_sentinels_fails_over(
    redis_url: str, database_url: str, tmp_path: Path
) -> None:
    """The worker finds the new primary by itself and goes on with what it holds."""
    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder())
        primary = stack.enter_context(Redis(folder / "primary"))
        replica = stack.enter_context(Redis(folder / "replica"))
        client = stack.enter_context(redis.Redis(port=replica.port))
        client.replicaof("127.0.0.1", str(primary.port))
        broker = stack.enter_context(sentinel(primary, folder))
        service = Service(database_url, primary.url, tmp_path, outcome_url=redis_url)
        stack.enter_context(closing(service))
        service.load("ev_1", "ev_2")
        worker = service.start_worker(CELERY_BROKER_URL=broker, SETTLE_SENTINEL_MASTER="settle")
        sent = service.send(kwargs={"id": "ev_1", "status": "completed"}, ignore_result=True)
        assert service.wait({sent.id: ["ev_1"]})[sent.id][0].updated
        settings = Settings.model_construct(
            **{**Settings().model_dump(), "broker_url": broker, "sentinel_master": "settle"}
        )
        checks = {result.check: result.finding for result in examine(broker_part(settings))}
        assert checks["server"].verdict is checks["rights"].verdict is Verdict.OK

        primary.stop(immediate=True)
        wait_for_failover(client)
        after = stack.enter_context(
            closing(Service(database_url, replica.url, tmp_path, outcome_url=redis_url))
        )
        sent = after.send(kwargs={"id": "ev_2", "status": "failed"}, ignore_result=True)
        assert after.wait({sent.id: ["ev_2"]})[sent.id][0].updated
        assert worker.process.poll() is None
