"""Many results stored at once are what Celery stores one by one."""

from __future__ import annotations

import json
from typing import Any

import pytest
import redis
from celery import Celery
from celery.exceptions import TaskRevokedError

from worker.seams.result_backend import most_together, store_together

VALUE = [{"id": "ev_1", "updated": True, "payload": {"ü": [1, None]}}]


@pytest.mark.filterwarnings("ignore:Call to deprecated setex")
@pytest.mark.parametrize("expires", [3600, None])
def test_many_results_are_stored_as_one_is(redis_url: str, expires: int | None) -> None:
    """The same text under the same key, for as long, and told to who waits for it."""
    app = Celery(backend=redis_url, set_as_current=False)
    app.conf.result_expires = expires
    assert most_together(app.backend) > 1
    with redis.Redis.from_url(redis_url) as client, client.pubsub() as heard:
        heard.psubscribe("celery-task-meta-*")
        heard.get_message(timeout=5)
        app.backend.store_result("alone", VALUE, "SUCCESS")
        revoked = TaskRevokedError("expired")
        app.backend.store_result("done", VALUE, "SUCCESS")
        store_together(
            app.backend,
            [
                ("first", VALUE, "SUCCESS"),
                ("dropped", revoked, "REVOKED"),
                ("done", revoked, "REVOKED"),
                ("last", VALUE, "SUCCESS"),
            ],
        )
        kept = {
            name: json.loads(client.get(f"celery-task-meta-{name}") or b"null")
            for name in ("alone", "first", "last", "dropped", "done")
        }
        lives = {client.ttl(f"celery-task-meta-{name}") > 0 for name in kept}
        channels = {
            message["channel"] for message in iter(lambda: heard.get_message(timeout=0.2), None)
        }
    assert _plain(kept["first"]) == _plain(kept["last"]) == _plain(kept["alone"])
    assert kept["first"]["task_id"] == "first"
    assert [kept[name]["status"] for name in ("dropped", "done")] == ["REVOKED", "SUCCESS"]
    assert lives == {expires is not None}
    assert b"celery-task-meta-last" in channels
    assert app.AsyncResult("last").get(timeout=5) == VALUE
    app.backend.client.close()
    app.close()


def _plain(meta: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in meta.items() if name not in ("task_id", "date_done")}
