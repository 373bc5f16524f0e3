"""The process behind the HTTP door: started, stopped, watched."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from cli.embedded import free_port
from gateway.access.keys import as_toml, draw
from tests.gateway import (
    BATCH,
    JSON,
    Answer,
    Gateway,
    Gateways,
    check_is_problem,
    completed,
    published,
)
from tests.service import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from tests.service import Service

pytestmark = pytest.mark.storms


def start_in_vain(service: Service, **settings: str) -> str:
    """Start a gateway that cannot work, and return its one line."""
    ended = subprocess.run(
        [sys.executable, "-m", "cli", "gateway"],
        env={**os.environ, **service.environment, **settings},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 1, ended
    assert ended.stderr.count("\n") == 1, ended.stderr
    assert ended.stderr.startswith("Error: SETTLE_")
    return ended.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1"])  # noqa: S104
def test_it_is_not_opened_to_others_without_keys(service: Service, host: str) -> None:
    """It says which setting is missing, before it listens."""
    line = start_in_vain(service, SETTLE_GATEWAY_HOST=host)
    assert line.startswith("Error: SETTLE_GATEWAY_KEYS_FILE: is required")


def test_a_port_that_is_taken_is_one_line(service: Service, gateway: Gateway) -> None:
    """It names the setting."""
    line = start_in_vain(service, SETTLE_GATEWAY_PORT=str(gateway.port))
    assert f"SETTLE_GATEWAY_PORT: cannot listen on 127.0.0.1, port {gateway.port}" in line


@pytest.mark.parametrize("host", ["nowhere.invalid", "192.0.2.1"])
def test_an_address_of_another_machine_is_one_line(
    service: Service, tmp_path: Path, host: str
) -> None:
    """It names the host, not the port."""
    keys = tmp_path / "keys.toml"
    keys.write_text(as_toml(draw("ours", "all")[1]))
    line = start_in_vain(service, SETTLE_GATEWAY_HOST=host, SETTLE_GATEWAY_KEYS_FILE=str(keys))
    assert line.startswith(f"Error: SETTLE_GATEWAY_HOST: cannot listen on {host}")


@pytest.mark.parametrize("option", ["ssl_ca_cert=ca.pem", "socket_timeout=soon"])
def test_a_url_with_a_wrong_option_is_one_line(service: Service, option: str) -> None:
    """Found before anything is committed that could not be published."""
    line = start_in_vain(service, SETTLE_OUTCOME_URL=f"rediss://redis:6379/0?{option}")
    assert line.startswith("Error: SETTLE_OUTCOME_URL: correct its options")


@pytest.mark.parametrize("text", [None, "[[key", '[[key]]\nname = "a"'])
def test_a_keys_file_that_is_bad_is_one_line(
    service: Service, tmp_path: Path, text: str | None
) -> None:
    """It names the setting and the file."""
    path = tmp_path / "keys.toml"
    if text is not None:
        path.write_text(text)
    line = start_in_vain(
        service, SETTLE_GATEWAY_KEYS_FILE=str(path), SETTLE_GATEWAY_PORT=str(free_port())
    )
    assert line.startswith(f"Error: SETTLE_GATEWAY_KEYS_FILE: {path}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_stop_answers_what_is_under_way(
    service: Service, gateway: Gateway, number: signal.Signals
) -> None:
    """Then it exits with 0; nobody is cut off, and nobody new is let in."""
    with ThreadPoolExecutor() as threads:
        with service.database.engine.begin() as blocker:
            blocker.exec_driver_sql("SELECT FROM events WHERE id = 'ev_1' FOR UPDATE")
            waiting = threads.submit(gateway.patch, completed("ev_1", "ev_2"))
            _wait_until_blocked(service)
            gateway.process.send_signal(number)
            _wait_until_refused(gateway)
            assert gateway.process.poll() is None
        assert [one["updated"] for one in waiting.result().json] == [True, True]
    assert gateway.process.wait(60) == 0
    assert "gateway stopped" in gateway.log.read_text()
    assert "Traceback" not in gateway.log.read_text()
    assert len(published(service)) == 2


def test_a_stop_does_not_wait_for_the_rest_of_a_request(
    service: Service, gateways: Gateways
) -> None:
    """Its client is asked to send it again, in the form that every error has."""
    service.load("ev_1")
    gateway = gateways.start(SETTLE_STOP_TIMEOUT_SECONDS="1")
    connection = gateway.connect()
    connection.request("PATCH", BATCH, headers={**JSON, "Content-Length": "1000"})
    eventually(lambda: b"requests_open 1.0" in gateway.ask("GET", "/metrics").body)
    assert gateway.stop() == 0
    response = connection.getresponse()
    answer = Answer(response.status, dict(response.getheaders()), response.read())
    connection.close()
    check_is_problem(answer, 503, "Service Unavailable", "the service stops")
    assert "Traceback" not in gateway.log.read_text()


def test_it_stops_at_any_time(gateways: Gateways) -> None:
    """Also before it serves."""
    for _ in range(5):
        gateway = gateways.start()
        gateway.process.send_signal(signal.SIGTERM)
        assert gateway.process.wait(60) in (0, -signal.SIGTERM)


def test_it_is_not_healthy_where_it_may_not_publish(service: Service, gateways: Gateways) -> None:
    """Though both servers answer; it says before the first request what the second would hear."""
    rules = ("reset", "on", ">secret", "allkeys", "allchannels", "+@all", "-xadd")
    service.channel.execute_command("ACL", "SETUSER", "poor", *rules)
    try:
        url = service.outcome_url.replace("redis://", "redis://poor:secret@")
        gateway = gateways.start(SETTLE_OUTCOME_URL=url)
        answer = gateway.ask("GET", "/healthz")
        check_is_problem(answer, 503, "Service Unavailable", "see what settle doctor says")
        service.load("ev_1")
        answer = gateway.patch(completed("ev_1"))
        check_is_problem(answer, 503, "Service Unavailable", "the result channel")
        service.channel.execute_command("ACL", "SETUSER", "poor", "+xadd")
        eventually(lambda: gateway.ask("GET", "/healthz").status == 200)
    finally:
        service.channel.execute_command("ACL", "DELUSER", "poor")
    assert "secret" not in gateway.log.read_text()


def test_it_is_up_before_its_servers_are(gateways: Gateways) -> None:
    """It asks for them when there is something to do, and says that they are away."""
    gateway = gateways.start(DATABASE_URL="postgresql://u:hush@127.0.0.1:1/none")
    for answer in (gateway.patch(completed("ev_1")), gateway.get("ev_1")):
        check_is_problem(answer, 503, "Service Unavailable", "the database does not answer")
        assert int(answer.headers["retry-after"]) >= 1
    check_is_problem(gateway.ask("GET", "/healthz"), 503, "Service Unavailable", "the database")
    assert "hush" not in gateway.log.read_text()


def test_its_metrics_say_what_it_did(gateway: Gateway) -> None:
    """Requests by status, updates by outcome."""
    gateway.patch(completed("ev_1", "ev_2", "nobody"))
    gateway.patch([])
    lines = gateway.ask("GET", "/metrics").body.decode().splitlines()
    for line in (
        'settle_gateway_requests_total{operation="settleEvents",status="200"} 1.0',
        'settle_gateway_requests_total{operation="settleEvents",status="400"} 1.0',
        'settle_gateway_updates_total{outcome="updated"} 2.0',
        'settle_gateway_updates_total{outcome="not_found"} 1.0',
        "settle_gateway_unpublished_outcomes 0.0",
    ):
        assert line in lines


def _wait_until_blocked(service: Service) -> None:
    """Wait until a session waits for a lock."""
    question = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"

    def somebody_waits() -> bool:
        with service.database.engine.connect() as operator:
            return bool(operator.exec_driver_sql(question).scalar_one())

    eventually(somebody_waits)


def _wait_until_refused(gateway: Gateway) -> None:
    """Wait until it takes no more connections."""

    def is_refused() -> bool:
        with closing(gateway.connect()) as connection:
            try:
                connection.connect()
            except ConnectionError:
                return True
        return False

    eventually(is_refused)
