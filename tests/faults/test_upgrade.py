"""From the release before this one to this one, and back, under load on both doors."""

from __future__ import annotations

import json
import random
import secrets
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from db.migrate import migrate
from settle_client.names import QUEUE
from tests.accounts import postgres_role
from tests.conftest import with_name
from tests.faults.http_load import HttpLoad, overlapping
from tests.faults.load import Load
from tests.gateway import Gateways
from tests.previous_release import NotInHistoryError, PreviousRelease
from tests.service import Service, eventually
from tests.started import or_skipped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.conftest import Urls

# How a process of this release is started: as any other.
THIS: dict[str, str] = {}
PACKAGES = ("cli", "worker", "gateway", "service", "tasks", "settle_client", "db", "celeryconfig")
IDS = [f"http_{number}" for number in range(100)]


@pytest.fixture(scope="module")
def previous(tmp_path_factory: pytest.TempPathFactory) -> PreviousRelease:
    """Give the release before this one."""
    with or_skipped(NotInHistoryError):
        return PreviousRelease.unpack(tmp_path_factory.mktemp("previous"))


@pytest.fixture
def old_database_url(urls: Urls, previous: PreviousRelease) -> Iterator[str]:
    """Give a database that the release before this one has migrated, and this one has not."""
    name = f"settle_previous_{secrets.token_hex(4)}"
    with psycopg.connect(urls.database, autocommit=True) as owner:
        owner.execute(f'CREATE DATABASE "{name}"')
        url = with_name(urls.database, name)
        previous.run("-m", "cli", "migrate", DATABASE_URL=url)
        yield url
        owner.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


class Upgrade:
    """A service that is never without a worker and a gateway, whichever releases they are of."""

    def __init__(self, service: Service, gateways: Gateways) -> None:
        self.service, self.gateways = service, gateways
        self.workers = service.workers

    def begin(self, release: Mapping[str, str]) -> None:
        """Start two workers and a gateway."""
        for _ in range(2):
            self.service.start_worker(**release)
        self.gateways.start(**release)

    def replace(self, release: Mapping[str, str]) -> None:
        """Put others in the place of all, one by one: each is ready before one leaves."""
        for old in self.workers[-2:]:
            self.service.start_worker(**release)
            assert old.stop() == 0
            assert "Traceback" not in old.log.read_text()
            self.service.check_is_settling()
        gateway = self.gateways.started[-1]
        self.gateways.start(**release)
        assert gateway.stop() == 0
        assert "Traceback" not in gateway.log.read_text()


def test_what_runs_is_the_previous_release(previous: PreviousRelease) -> None:
    """Not this one under its name."""
    program = f"import {', '.join(PACKAGES)}\nprint({'.__file__, '.join(PACKAGES)}.__file__)"
    files = previous.run("-c", program).split()
    assert {Path(file).is_relative_to(previous.started["folder"]) for file in files} == {True}


CLIENT = """
import json, os, sys
from settle_client import OutcomeClient, Producer
ids = json.loads(sys.argv[1])
with Producer(os.environ["BROKER"]) as producer:
    one = producer.send({"id": ids[0], "status": "completed"})
    more = producer.send_together([{"id": id_, "status": "failed"} for id_ in ids])
client = OutcomeClient(os.environ["BROKER"])
told = client.wait({one: ids[:1], more: ids}, timeout_seconds=60)
print(json.dumps(sorted([o.id, o.message_id == one, o.updated, o.reason] for o in told)))
"""


def test_the_client_of_the_previous_release_goes_on(
    database_url: str, redis_url: str, tmp_path: Path, previous: PreviousRelease
) -> None:
    """Producers and consumers need not be touched: both speak with workers of this release."""
    with closing(Service(database_url, redis_url, tmp_path)) as service:
        service.load("ev_1", "ev_2")
        service.start_worker()
        said = previous.run("-c", CLIENT, json.dumps(["ev_1", "ev_2"]), BROKER=redis_url)
    assert json.loads(said) == [
        ["ev_1", False, False, "already_completed"],
        ["ev_1", True, True, None],
        ["ev_2", False, True, None],
    ]


def test_what_dead_workers_of_either_release_held_is_taken_over(
    database_url: str, redis_url: str, tmp_path: Path, previous: PreviousRelease
) -> None:
    """Upgraded at one go, and back: none that could return it is left of its own release."""
    with (
        closing(Service(database_url, redis_url, tmp_path)) as service,
        psycopg.connect(database_url) as blocked,
    ):
        service.load("ev_1", "ev_2")
        for id_, dead, heir in (("ev_1", previous.started, THIS), ("ev_2", THIS, previous.started)):
            first = service.start_worker(**dead)
            blocked.execute("SELECT FROM events FOR UPDATE")
            service.send(kwargs={"id": id_, "status": "completed"}, task_id=id_)
            service.send(kwargs={"id": id_, "status": "failed"}, task_id=f"{id_}-l", countdown=2)
            eventually(lambda: service.redis.hlen(f"{QUEUE}.unacked") > 0)
            first.kill()
            blocked.rollback()
            second = service.start_worker(**heir)
            told = service.wait({id_: [id_], f"{id_}-l": [id_]})
            # The later one may come first: what was held waits for its lease to end.
            settled = [one.updated for answers in told.values() for one in answers]
            assert sorted(settled) == [False, True]
            second.kill()


def test_a_release_is_rolled_out_and_taken_back_under_load(
    old_database_url: str, redis_url: str, tmp_path: Path, previous: PreviousRelease
) -> None:
    """The schema is migrated meanwhile; nothing is lost or wrong, through either door."""
    with ExitStack() as stack:
        role = stack.enter_context(postgres_role("settle_worker", old_database_url))
        service = Service(old_database_url, redis_url, tmp_path, worker_database_url=role)
        stack.enter_context(closing(service))
        gateways = stack.enter_context(closing(Gateways(service)))
        service.load(*IDS)
        upgrade = Upgrade(service, gateways)
        upgrade.begin(previous.started)
        load = Load(service, events=3_000, per_second=100)
        over_http = HttpLoad(gateways, overlapping("http", 1_500, IDS, random.Random(3)))
        load.start()
        over_http.start()

        service.check_is_settling()
        migrate(old_database_url)
        service.check_is_settling()
        gateways.database_url = stack.enter_context(
            postgres_role("settle_gateway", old_database_url)
        )
        upgrade.replace(THIS)
        gateways.database_url = role
        upgrade.replace(previous.started)

        load.stop()
        over_http.join()
        service.wait_until_empty()
        account = load.account()
        assert account.messages > 100
        assert (account.lost, account.wrong) == (0, 0), account.examples
        assert over_http.unexpected == []
        assert over_http.answers.keys() == over_http.messages.keys()
        settled = service.database.read_events(IDS)
        for answers in over_http.answers.values():
            for one in answers:
                row = settled[one["id"]]
                assert one["reason"] in (None, f"already_{row.status}"), one
                if one["updated"]:
                    assert (row.status, row.settled_by) == (one["status"], one["messageId"])
