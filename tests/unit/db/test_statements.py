"""The statements, as they are sent."""

from __future__ import annotations

import sqlalchemy

from db.statements import settle_pending_events


def test_the_statement_has_as_many_parameters_for_any_batch() -> None:
    """Arrays go in whole: the statement is compiled and prepared once."""
    compiled = settle_pending_events(with_payload=False).compile(
        dialect=sqlalchemy.create_engine("postgresql+psycopg://").dialect
    )
    arrays = {"event_ids", "statuses", "account_ids", "message_ids"}
    assert arrays < set(compiled.params)
    assert str(compiled).count("UPDATE events") == 1
