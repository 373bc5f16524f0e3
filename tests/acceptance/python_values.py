"""Values that JSON has no type for, as a Celery client that is given them sends them."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.service import Service

# Each another way into a worker.
PATHS: tuple[dict[str, Any], ...] = (
    {},
    {"countdown": 1},
    {"expires": 60},
    {"compression": "bzip2"},
    {"compression": "brotli"},
    {"compression": "zstd"},
    {"headers": {"redelivered": True}},
)
# As kombu 5.3 wrote a UUID, which kombu cannot read on every Python.
UNREADABLE = {
    "__type__": "uuid",
    "__value__": {"hex": "0192f3a47c1e7abc8def0123456789ab", "version": 7},
}


def settle_on_every_path(service: Service) -> None:
    """Send one message by each path, of an event whose id is a UUID; all are settled."""
    ids = [uuid.uuid4() for _ in PATHS]
    service.load(*map(str, ids))
    service.start_worker()
    payload = {"total": Decimal("12.50"), "at": datetime.now(UTC), "ref": UNREADABLE}
    sent = {}
    for id_, options in zip(ids, PATHS, strict=True):
        update = {"id": id_, "status": "completed", "payload": payload}
        message = service.send(kwargs=update, ignore_result=True, **options)
        sent[message.id] = [str(id_)]
    answered = [outcome for outcomes in service.wait(sent).values() for outcome in outcomes]
    assert all(outcome.updated for outcome in answered), answered
    assert {outcome.id for outcome in answered} == set(map(str, ids))
    service.wait_until_empty()
