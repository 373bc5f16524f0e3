"""What a Celery client makes of Python's values, from the client to the outcome."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from tests.acceptance.python_values import settle_on_every_path

if TYPE_CHECKING:
    from tests.service import Service


def test_a_uuid_is_an_id_and_what_is_ignored_may_be_anything(service: Service) -> None:
    """At once or later, compressed or not."""
    settle_on_every_path(service)


def test_a_message_id_may_be_a_uuid(service: Service) -> None:
    """It is answered under its text, also where it is delayed."""
    service.load("ev_1", "ev_2")
    service.start_worker()
    for event, options in (("ev_1", {}), ("ev_2", {"countdown": 1})):
        id_ = uuid.uuid4()
        update = {"id": event, "status": "completed"}
        service.send(kwargs=update, task_id=id_, ignore_result=True, **options)
        (outcome,) = service.wait({str(id_): [event]})[str(id_)]
        assert outcome.updated
