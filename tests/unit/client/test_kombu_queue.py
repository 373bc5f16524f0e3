"""What a broker gets that is not Redis: by kombu, here into a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from kombu.connection import Connection

from settle_client.envelope import single
from settle_client.errors import AddressError, NotSentError
from settle_client.kombu_queue import KombuQueue
from settle_client.names import QUEUE, TASK
from settle_client.update import StatusUpdate
from tests import faces
from tests.service import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

face = faces.face

UPDATE = {"id": "ev_1", "status": "completed"}


@pytest.fixture
def options(tmp_path: Path) -> dict[str, Any]:
    """Give kombu's transport options for a broker that is a folder."""
    return {
        "data_folder_in": str(tmp_path),
        "data_folder_out": str(tmp_path),
        "control_folder": str(tmp_path / "control"),
        "store_processed": False,
    }


def delivered(options: dict[str, Any]) -> Iterator[Any]:
    """Take what waits, as a consumer would."""
    connect: Any = Connection
    with connect("filesystem://", transport_options=options) as connection:
        queue = connection.SimpleQueue(QUEUE)
        while queue.qsize():
            message = queue.get_nowait()
            yield message
            message.ack()
        queue.close()


def test_what_is_sent_is_a_message_of_celerys(face: Any, options: dict[str, Any]) -> None:
    """As a worker takes it: its task, its ids, its content, and that it is to be kept."""
    with face.producer("filesystem://", **options) as producer:
        sent = [producer.send(UPDATE) for _ in range(3)]
    came = list(delivered(options))
    assert sorted(message.headers["id"] for message in came) == sorted(sent)
    for message in came:
        assert message.headers["task"] == TASK
        assert message.properties["correlation_id"] == message.headers["id"]
        assert message.properties["delivery_mode"] == 2
        assert (message.content_type, message.content_encoding) == ("application/json", "utf-8")
        assert message.payload[:2] == [[], UPDATE]


def test_a_queue_that_was_closed_connects_anew(options: dict[str, Any]) -> None:
    """As after an error; closing what never connected is no harm."""
    queue = KombuQueue("filesystem://", **options)
    queue.close()
    envelopes = [single(StatusUpdate(id=f"ev_{number}", status="failed")) for number in range(2)]
    for envelope in envelopes:
        queue.push([envelope])
        queue.close()
    came = {message.headers["id"] for message in delivered(options)}
    assert came == {envelope.message_id for envelope in envelopes}


def test_a_broker_that_takes_nothing_is_not_sent_to(
    face: Any, options: dict[str, Any], tmp_path: Path
) -> None:
    """The message is confirmed when it is there, and not before."""
    folder = tmp_path / "missing"
    producer = face.producer(
        "filesystem://", **{**options, "data_folder_out": str(folder)}, timeout_seconds=0.3
    )
    message_id = producer.send(UPDATE)
    with pytest.raises(NotSentError) as caught:
        producer.flush()
    assert list(caught.value.message_ids) == [message_id]
    folder.mkdir()
    eventually(lambda: any(folder.iterdir()))
    producer.close()
    came = list(delivered({**options, "data_folder_in": str(folder)}))
    assert [message.headers["id"] for message in came] == [message_id]


def test_a_kind_of_broker_that_there_is_not_is_refused(face: Any) -> None:
    """By its name alone, for the rest may be secret."""
    with pytest.raises(AddressError, match=r"^no such kind of broker: carrier-pigeon$"):
        face.producer("carrier-pigeon://user:hush@coop:99/")
