"""Outcomes pushed, as an operator sets it up: real workers, real endpoints, documented users."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
import redis
import trustme

from cli.embedded import free_port
from tests.accounts import documented_rules
from tests.deployment import ROOT
from tests.service import LoggedProcess, eventually
from tests.webhooks import (
    SECRET,
    Receiver,
    Reply,
    Webhooks,
    accept,
    endpoint,
    has_group,
    publish,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.service import Service

pytestmark = pytest.mark.storms
PAGE = ROOT / "docs/webhooks.md"


@pytest.fixture
def webhooks(service: Service) -> Iterator[Callable[..., Webhooks]]:
    """Give a way to set up endpoints, as the documented user."""
    made: list[Webhooks] = []

    def make(*endpoints: str, **settings: str) -> Webhooks:
        made.append(Webhooks(service.folder, service.users.webhooks, *endpoints, **settings))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_what_workers_settle_is_pushed(service: Service, webhooks: Callable[..., Webhooks]) -> None:
    """Each endpoint hears of its account's updates, and of no other's; a stop is clean."""
    service.load("ev_1", "ev_2", account="acct_1")
    service.load("ev_3", account="acct_2")
    port = str(free_port())
    with Receiver() as receiver:
        made = webhooks(
            endpoint("one", receiver.url("/one"), accounts=["acct_1"]),
            endpoint("all", receiver.url("/all"), format="cloudevents"),
            SETTLE_METRICS_PORT=port,
        )
        process = made.start()
        eventually(lambda: has_group(service.channel))
        service.start_worker()
        updates = [{"id": f"ev_{n}", "status": "completed"} for n in (1, 2, 3, 4)]
        message = service.send([updates]).id
        eventually(lambda: len(receiver.ids("/all")) == 4)
        eventually(lambda: len(receiver.ids("/one")) == 2)
        assert receiver.ids("/one") == ["ev_1", "ev_2"]
        told = service.wait({message: ["ev_1", "ev_2", "ev_3", "ev_4"]})[message]
        assert receiver.outcomes("/all") == [json.loads(outcome.to_json()) for outcome in told]
        eventually(lambda: "settle_webhooks_delivered_total 6.0" in _get(port, "/metrics"))
        assert "the event loop went round" in _get(port, "/livez")
        assert process.stop() == 0
        assert "webhooks stopped" in process.log.read_text()
        assert receiver.forged == []


def test_the_commands_show_and_mend(service: Service, webhooks: Callable[..., Webhooks]) -> None:
    """What an operator does for an endpoint that was gone, as the documented user."""
    with Receiver() as receiver:
        receiver.answer = lambda _: Reply(410)
        made = webhooks(endpoint("one", receiver.url()), SETTLE_WEBHOOKS_QUEUE_MAX_LENGTH="2")
        process = made.start()
        eventually(lambda: has_group(service.channel))
        publish(service.channel, ["ev_1", "ev_2", "ev_3"])
        eventually(lambda: made.standing("one")["state"] == "disabled")
        eventually(lambda: made.standing("one")["kept"] == 1)
        receiver.answer = accept
        made.do("enable", "one")
        assert '"overflow"' in made.do("kept", "one")
        eventually(lambda: receiver.ids() == ["ev_2", "ev_3"])
        made.do("replay", "one")
        eventually(lambda: receiver.ids() == ["ev_2", "ev_3", "ev_1"])
        # What waits for an endpoint that the file does not have any more is shown, and may go.
        receiver.answer = lambda _: Reply(503)
        publish(service.channel, ["ev_4"])
        eventually(lambda: made.standing("one")["waiting"] == 1)
        made.write(endpoint("two", receiver.url()))
        process.stop()
        assert made.standing("one")["waiting"] == 1
        assert "1 outcomes are forgotten" in made.do("drop", "one", "--yes")
        assert "one" not in made.do("list")
        refused = made.run("enable", "one")
        assert refused.returncode == 2
        assert refused.stderr == "one: there is no such endpoint; there are: two\n"


def test_bad_settings_are_one_line(webhooks: Callable[..., Webhooks]) -> None:
    """Before anything is read: which it is, and what it should be."""
    made = webhooks(endpoint("one", "gopher://x"))
    for settings, error in (
        ({}, "SETTLE_WEBHOOKS_FILE: "),
        ({"SETTLE_WEBHOOKS_FILE": "/nowhere.toml"}, "/nowhere.toml is not there: see settle"),
        (
            {"SETTLE_WEBHOOKS_ALLOWED_NETWORKS": "10.0.0.1/8"},
            "SETTLE_WEBHOOKS_ALLOWED_NETWORKS: 10.0.0.1/8 is no network: write them as",
        ),
    ):
        ended = made.run(**settings)
        assert ended.returncode == 1
        assert error in ended.stderr
        assert ended.stderr.count("\n") == 1


def test_tls_is_verified(
    service: Service, webhooks: Callable[..., Webhooks], tmp_path: Path
) -> None:
    """By the name of the endpoint, and by who has signed its certificate."""
    authority = trustme.CA()
    good, bad = authority.issue_cert("localhost"), authority.issue_cert("other.example")
    stranger = trustme.CA().issue_cert("localhost")
    trusted = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(trusted))
    certificates = {"good": good, "bad": bad, "stranger": stranger}
    receivers = {name: Receiver(certificate=each) for name, each in certificates.items()}
    made = webhooks(
        *(
            endpoint(name, f"https://localhost:{receiver.port}/")
            for name, receiver in receivers.items()
        ),
        SSL_CERT_FILE=str(trusted),
    )
    with receivers["good"], receivers["bad"], receivers["stranger"]:
        made.start()
        eventually(lambda: has_group(service.channel))
        publish(service.channel, ["ev_1"])
        eventually(lambda: receivers["good"].ids() == ["ev_1"])
        for name in ("bad", "stranger"):
            eventually(lambda name=name: made.standing(name)["failures"] > 0)  # type: ignore[misc]
            assert "its certificate or its TLS is not valid" in made.standing(name)["error"]
            assert receivers[name].requests == []


def test_the_user_needs_all_that_it_may(service: Service) -> None:
    """Each command of the documented user is run, and no other: Redis says which were."""
    if service.users.webhooks == service.redis_url:
        pytest.skip("no users may be made on this server")
    allowed = {
        rule.removeprefix("+")
        for line in documented_rules("settle-webhooks")
        for rule in line
        if rule.startswith("+") and "@" not in rule
    }
    with closing(redis.Redis.from_url(service.redis_url, decode_responses=True)) as owner:
        owner.config_resetstat()
        _use_everything(service)
        used = {name.removeprefix("cmdstat_") for name in owner.info("commandstats")}
    assert allowed - used - {"unwatch", "script|load"} == set()


def _use_everything(service: Service) -> None:
    with Receiver() as receiver:
        answers = iter([Reply(410)])
        receiver.answer = lambda _: next(answers, Reply())
        settings = {"SETTLE_WEBHOOKS_QUEUE_MAX_LENGTH": "1"}
        made = Webhooks(
            service.folder,
            service.users.webhooks,
            endpoint("one", receiver.url(), accounts=["acct_1"]),
            **settings,
        )
        with closing(made):
            process = made.start()
            eventually(lambda: has_group(service.channel))
            publish(service.channel, ["ev_1", "ev_2"])
            eventually(lambda: made.standing("one")["state"] == "disabled")
            made.do("enable", "one")
            made.do("replay", "one")
            eventually(lambda: made.standing("one")["waiting"] == 0)
            made.do("drop", "one", "--yes")
            made.do("list")
            process.stop()


def _get(port: str, path: str) -> str:
    url = f"http://127.0.0.1:{port}{path}"
    with urllib.request.urlopen(url, timeout=10) as answer:
        text: str = answer.read().decode()
        return text


def test_it_is_stopped_while_redis_is_away(webhooks: Callable[..., Webhooks]) -> None:
    """It starts, says once that it waits, and ends when told to."""
    made = webhooks(endpoint("one", "https://one.example/"))
    process = made.start(CELERY_BROKER_URL=f"redis://127.0.0.1:{free_port()}/0")
    process.wait_for_log("outcomes cannot be read")
    assert process.stop() == 0
    assert process.log.read_text().count("outcomes cannot be read") == 1


def test_the_documented_ways_to_verify(
    service: Service, webhooks: Callable[..., Webhooks], tmp_path: Path
) -> None:
    """The example prints what it has verified; openssl comes to the same signature."""
    port = free_port()
    log = tmp_path / "receiver.log"
    example = LoggedProcess(
        log,
        {**os.environ, "WEBHOOK_SECRET": SECRET},
        *(sys.executable, str(ROOT / "examples/python/receiver.py"), str(port)),
    )
    with Receiver() as receiver:
        made = webhooks(
            endpoint("example", f"http://127.0.0.1:{port}/"), endpoint("one", receiver.url())
        )
        made.start()
        eventually(lambda: has_group(service.channel))
        publish(service.channel, ["ev_1", "ev_2"])
        example.wait_for_log("ev_1 completed True\nev_2 completed True\n")
        example.kill()
        eventually(lambda: receiver.ids() == ["ev_1", "ev_2"])
    request = receiver.requests[0]
    (command,) = re.findall(r"```sh\n(printf .*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    printed = subprocess.run(
        ["bash", "-c", command],
        env={
            **os.environ,
            "ID": request.headers["webhook-id"],
            "TIMESTAMP": request.headers["webhook-timestamp"],
            "BODY": request.text,
            "SECRET": SECRET,
        },
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert f"v1,{printed.strip()}" == request.headers["webhook-signature"]
