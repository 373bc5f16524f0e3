"""Which pool a worker has: threads, unless its command line or environment says otherwise."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from tests.service import Worker

if TYPE_CHECKING:
    from pathlib import Path

# It says which pool it has before it looks for its servers.
NOWHERE = {"CELERY_BROKER_URL": "redis://127.0.0.1:1/0", "C_FORCE_ROOT": "1"}


@pytest.mark.parametrize(
    ("options", "environment", "pool"),
    [
        pytest.param([], {}, "thread", id="nothing said"),
        pytest.param(["--pool", "prefork"], {}, "prefork", id="--pool prefork"),
        pytest.param(["--pool=prefork"], {}, "prefork", id="--pool=prefork"),
        pytest.param(["-P", "prefork"], {}, "prefork", id="-P prefork"),
        pytest.param(["-Pprefork"], {}, "prefork", id="-Pprefork"),
        pytest.param(["--pool=solo"], {}, "solo", id="--pool=solo"),
        pytest.param(["--pool", "threads"], {}, "thread", id="--pool threads"),
        pytest.param([], {"CELERY_WORKER_POOL": "prefork"}, "prefork", id="environment"),
        pytest.param(
            ["-P", "solo"], {"CELERY_WORKER_POOL": "prefork"}, "solo", id="command line first"
        ),
        pytest.param(["-n", "w--pool=prefork@h"], {}, "thread", id="a name like an option"),
    ],
)
def test_a_worker_has_the_pool_that_is_asked_for(
    options: list[str], environment: dict[str, str], pool: str, tmp_path: Path
) -> None:
    """In every spelling that Celery knows."""
    log = tmp_path / "log"
    worker = Worker(log, {**os.environ, **NOWHERE, **environment}, *options)
    try:
        worker.wait_for_log("worker starts")
    finally:
        worker.kill()
    lines = map(json.loads, filter(None, log.read_text().splitlines()))
    assert [line["pool"] for line in lines if line["event"] == "worker starts"] == [pool]
