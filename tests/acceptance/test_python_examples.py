"""The examples in Python, run as they stand."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from cli.embedded import free_port
from tests.listening import outcome, publish
from tests.scripted_server import HTML, ScriptedServer
from tests.service import LoggedProcess, Service, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.gateway import Gateways

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "python"


@contextmanager
def running(service: Service, *command: str, **environment: str) -> Iterator[LoggedProcess]:
    """Run an example until the end of the block."""
    log = service.folder / f"{Path(command[0]).name}-{environment.get('NAME', '')}.log"
    process = LoggedProcess(log, {**os.environ, **environment}, sys.executable, *command)
    try:
        yield process
    finally:
        process.kill()


def post(url: str) -> tuple[int, Any]:
    """Ask for something, and return the status and the answer."""
    try:
        with urlopen(Request(url, method="POST"), timeout=60) as answer:  # noqa: S310 - ours
            return answer.status, json.load(answer)
    except HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_a_fastapi_service_answers_with_what_became_of_an_event(service: Service) -> None:
    """Settled, known before, unknown, or no id at all; and it stops as it should."""
    service.load("ev_1")
    service.start_worker()
    port = free_port()
    command = ("-m", "uvicorn", "--app-dir", str(EXAMPLES), "--port", str(port), "shop:app")
    urls = {"BROKER_URL": service.users.producer, "OUTCOME_URL": service.users.consumer}
    with running(service, *command, **urls) as example:
        example.wait_for_log("Uvicorn running on")
        root = f"http://127.0.0.1:{port}/shipments"
        answers = [post(f"{root}/{id_}/delivered") for id_ in ("ev_1", "ev_1", "ev_404")]
        assert [(status, body["reason"]) for status, body in answers] == [
            *((200, None), (200, "already_completed"), (200, "not_found"))
        ]
        status, body = post(f"{root}/{'x' * 256}/delivered")
        assert status == 400
        assert "id: must have at most 255 characters" in body["detail"]
        example.stop()
        log = example.log.read_text()
        assert "Application shutdown complete" in log
        assert "Traceback" not in log


def test_a_durable_consumer_handles_every_outcome(service: Service) -> None:
    """One that was killed handles the rest when it is started again."""
    service.load(*(f"ev_{number}" for number in range(20)))
    service.start_worker()
    script, url = str(EXAMPLES / "consumer.py"), service.users.consumer
    sent = [
        service.send(kwargs={"id": f"ev_{n}", "status": "completed"}, ignore_result=True).id
        for n in range(20)
    ]

    def handled(process: LoggedProcess) -> set[str]:
        return {line.rpartition(" ")[2] for line in process.log.read_text().splitlines()}

    with running(service, script, OUTCOME_URL=url, NAME="one") as example:
        eventually(lambda: len(handled(example)) > 0)
        example.kill()
        first = handled(example)
    with running(service, script, OUTCOME_URL=url, NAME="one") as example:
        eventually(lambda: first | handled(example) >= set(sent))


def test_a_listener_over_http_goes_on_where_it_was(
    service: Service, gateways: Gateways, tmp_path: Path
) -> None:
    """Also after a gateway that was killed, and after outcomes that are gone."""
    script, place = str(EXAMPLES / "listener.py"), tmp_path / "position"
    gateway = gateways.start()
    publish(service, outcome("ev_1"))
    with running(service, script, str(place), SETTLE_URL=gateway.url) as example:
        example.wait_for_log("ev_1 updated")
        publish(service, outcome("ev_2", updated=False, reason="not_found"))
        example.wait_for_log("ev_2 not_found")
        gateway.kill()
        example.wait_for_log("Connection refused")
    (known, *_) = publish(service, *(outcome(f"ev_{number}") for number in (3, 4, 5)))
    eventually(lambda: place.read_text() < known)
    service.channel.xtrim("event-outcomes", maxlen=2, approximate=False)
    url = gateways.start().url
    with running(service, script, str(place), NAME="again", SETTLE_URL=url) as example:
        example.wait_for_log("ev_5 updated")
        said = example.log.read_text().splitlines()
    assert said[0].startswith("outcomes behind this position were trimmed")
    assert said[1:] == ["ev_4 updated", "ev_5 updated"]


def test_a_listener_over_http_is_stopped_by_nothing_that_comes(
    service: Service, tmp_path: Path
) -> None:
    """Neither a proxy's page nor what is no outcome: it would stop whoever starts again, too."""
    stream = {"Content-Type": "text/event-stream"}
    said = [b'"hello"', b'{"other": 1}', b"7", outcome("ev_1").to_json()]
    events = b"".join(b"id: %d-0\ndata: %b\n\n" % pair for pair in enumerate(said, 1))
    with ScriptedServer() as server:
        server.answers = [(502, HTML), (200, events, stream)]
        server.answers += [(503, HTML)] * 60
        command = str(EXAMPLES / "listener.py"), str(tmp_path / "position.txt")
        with running(service, *command, SETTLE_URL=server.url) as example:
            example.wait_for_log("ev_1 updated")
            example.wait_for_log("HTTP Error 503")
            assert example.process.poll() is None
    assert (tmp_path / "position.txt").read_text() == "4-0"


@pytest.mark.parametrize(
    ("answer", "said"),
    [((404, HTML), "HTTP Error 404: Not Found"), ((200, HTML), "this is no answer of Settle's")],
    ids=["a page of errors", "a page"],
)
def test_what_is_no_gateway_is_said_in_a_line(answer: Any, said: str) -> None:
    """By the script that needs no package, as by the client."""
    with ScriptedServer() as server:
        server.answers = [answer]
        ended = subprocess.run(
            [sys.executable, EXAMPLES / "later.py", "m", "completed", "ev_1"],
            env={**os.environ, "SETTLE_URL": server.url},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert ended.returncode == 1
    assert ended.stderr.startswith(said)
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["connector.py", "later.py", "listener.py"])
def test_a_script_says_how_it_is_used(name: str) -> None:
    """Where nothing is given, in a line."""
    ended = subprocess.run(
        [sys.executable, EXAMPLES / name], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"usage: python {name} ")
    assert ended.stderr.count("\n") == 1


def test_a_connector_without_a_broker(service: Service, gateways: Gateways, tmp_path: Path) -> None:
    """Settles what is pending, hears of that and of others', and of what is gone."""
    script, place = str(EXAMPLES / "connector.py"), tmp_path / "position"
    service.load(*(f"ev_{number}" for number in range(250)))
    gateway = gateways.start()
    with running(service, script, str(place), SETTLE_URL=gateway.url) as example:
        eventually(lambda: example.log.read_text().count("updated") == 250, example.log.read_text)
        publish(service, outcome("other", updated=False, reason="not_found"))
        example.wait_for_log("other not_found")
    publish(service, *(outcome(f"late_{number}") for number in (1, 2, 3)))
    service.channel.xtrim("event-outcomes", maxlen=2, approximate=False)
    with running(service, script, str(place), NAME="again", SETTLE_URL=gateway.url) as example:
        example.wait_for_log("late_3 updated")
        said = example.log.read_text().splitlines()
    assert said[0].startswith("410 Gone: outcomes behind this position were trimmed")
    assert said[1:] == ["late_2 updated", "late_3 updated"]


def test_a_request_that_is_answered_later_is_asked_for(
    service: Service, gateways: Gateways
) -> None:
    """Until its outcomes are there, though nobody works yet; what is not valid ends it."""
    service.load("ev_1")
    url = gateways.start(CELERY_BROKER_URL=service.users.producer).url
    command = (str(EXAMPLES / "later.py"), "nightly-17", "completed", "ev_1", "ev_404")
    with running(service, *command, SETTLE_URL=url) as example:
        eventually(lambda: service.redis.llen("event-status-updates") == 1)
        service.start_worker()
        assert example.process.wait(60) == 0
        assert example.log.read_text().splitlines() == ["ev_1 updated", "ev_404 not_found"]
    with running(service, *command[:2], "done", "ev_1", NAME="bad", SETTLE_URL=url) as example:
        assert example.process.wait(60) == 1
        assert example.log.read_text().startswith("400 [0].status: must be 'completed'")


@pytest.mark.parametrize("kind", ["on a broker", "over HTTP"])
@pytest.mark.parametrize("page", ["client/README.md", "docs/clients.md"])
def test_what_a_page_shows_first_works(
    page: str, kind: str, service: Service, gateways: Gateways
) -> None:
    """Both faces, as they stand there."""
    service.load("ev_1")
    url, shown_url = service.redis_url, "redis://localhost:6379/0"
    if kind == "over HTTP":
        url, shown_url = gateways.start().url, "https://settle.example.com"
    else:
        service.start_worker()
    text = (ROOT / page).read_text("utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    sync, asyncio_ = (block for block in blocks if shown_url in block)
    imports, _, body = asyncio_.partition("\n\n")
    main = f"import asyncio\n{imports}\nasync def main():\n{indent(body, '    ')}"
    main += "\nasyncio.run(main())"
    for shown, expected in ((sync, "True None"), (main, "False already_completed")):
        code = shown.replace(shown_url, url)
        printed = subprocess.check_output([sys.executable, "-c", code], text=True, timeout=60)
        assert printed.startswith(expected)


def test_the_consumer_is_as_short_as_is_said() -> None:
    """Ten lines, without what is said of them."""
    _, _, code = (EXAMPLES / "consumer.py").read_text().rpartition('"""')
    lines = [line for line in code.splitlines() if line.strip() and "# " not in line]
    assert len(lines) <= 10
