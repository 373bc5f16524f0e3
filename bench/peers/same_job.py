"""The job by itself: the same guarded update and the same outcomes, as a tutorial would.

Stands by itself, for it also runs in an environment with another Celery and
nothing of this project installed.
"""

from __future__ import annotations

import json
import os
from typing import Any

import psycopg
import redis

COLUMNS = "id, account_id, event_type, created_at, completed_at, failed_at, settled_by"

UPDATE = f"""
UPDATE events SET
    completed_at = CASE WHEN batch.status = 'completed' THEN now() END,
    failed_at = CASE WHEN batch.status = 'failed' THEN now() END,
    settled_by = batch.message_id
FROM (
    SELECT DISTINCT ON (id) id, status, message_id
    FROM unnest(%s::text[], %s::text[], %s::text[]) WITH ORDINALITY
        AS batch (id, status, message_id, position)
    ORDER BY id, position
) AS batch
WHERE events.id = batch.id AND completed_at IS NULL AND failed_at IS NULL
RETURNING {COLUMNS.replace("id,", "events.id,", 1).replace("settled_by", "events.settled_by")}
"""  # noqa: S608 - names of our own
SELECT = f"SELECT {COLUMNS} FROM events WHERE id = ANY(%s)"  # noqa: S608 - names of our own

STREAM = "event-outcomes"


class PeerSettler:
    """One process's connections, opened when first needed and again after trouble."""

    def __init__(self) -> None:
        self._database: psycopg.Connection[Any] | None = None
        self._redis = redis.Redis.from_url(os.environ["SETTLE_OUTCOME_URL"])

    def settle(self, updates: list[tuple[str, dict[str, str]]]) -> None:
        """Settle updates with one statement and publish an outcome for each.

        Args:
            updates: Pairs of a message id and an update.
        """
        settled = self._update(updates)
        missing = list({update["id"] for _, update in updates} - settled.keys())
        others = self._rows(SELECT, [missing]) if missing else {}
        with self._redis.pipeline(transaction=False) as pipe:
            for message_id, update in updates:
                outcome = _outcome(message_id, update, settled, others)
                pipe.xadd(STREAM, {"outcome": outcome}, maxlen=1_000_000, approximate=True)
                pipe.publish(STREAM, outcome)
            pipe.execute()

    def _update(self, updates: list[tuple[str, dict[str, str]]]) -> dict[str, Any]:
        ids = [update["id"] for _, update in updates]
        statuses = [update["status"] for _, update in updates]
        return self._rows(UPDATE, [ids, statuses, [message_id for message_id, _ in updates]])

    def _rows(self, statement: str, arguments: list[Any]) -> dict[str, Any]:
        if self._database is None or self._database.closed:
            self._database = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
        return {row[0]: row for row in self._database.execute(statement, arguments)}


def _outcome(
    message_id: str, update: dict[str, str], settled: dict[str, Any], others: dict[str, Any]
) -> str:
    row = settled.get(update["id"])
    updated = row is not None and row[6] == message_id
    row = row or others.get(update["id"])
    reason = "not_found" if row is None else "already_completed" if row[4] else "already_failed"
    return json.dumps(
        {
            "id": update["id"],
            "updated": updated,
            "status": update["status"],
            "reason": None if updated else reason,
            "messageId": message_id,
            "accountId": row and row[1],
            "eventType": row and row[2],
            "createdAt": row and row[3].isoformat(),
            "completedAt": row and row[4] and row[4].isoformat(),
            "failedAt": row and row[5] and row[5].isoformat(),
        }
    )


def updates_of(message_id: str, args: Any, kwargs: Any) -> list[tuple[str, dict[str, str]]]:
    """Return the updates of a message, of either form."""
    return [(message_id, update) for update in (args[0] if args else [kwargs])]
