"""A new version rolled out under load, and the table migrated meanwhile: docs/deployment.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.faults.load import Load

if TYPE_CHECKING:
    from tests.service import Service

# What a newer version might add: old workers neither read nor write it.
EXPAND = "ALTER TABLE events ADD COLUMN note text"


def test_workers_are_replaced_and_the_table_is_expanded_under_load(service: Service) -> None:
    """One new worker is ready before one old one stops; nothing is lost, wrong, or left behind."""
    old = [service.start_worker(), service.start_worker()]
    load = Load(service, events=3_000, per_second=200)
    load.start()
    with service.database.engine.begin() as connection:
        connection.exec_driver_sql("SET LOCAL lock_timeout = '5s'")
        connection.exec_driver_sql(EXPAND)
    for worker in old:
        service.start_worker()
        assert worker.stop() == 0
        assert "Traceback" not in worker.log.read_text()
        service.check_is_settling()
    load.stop()
    service.wait_until_empty()
    account = load.account()
    assert account.messages > 100
    assert (account.lost, account.wrong) == (0, 0), account.examples
