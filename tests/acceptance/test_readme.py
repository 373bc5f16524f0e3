"""The README's examples, run as they stand."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.service import Service

README = Path(__file__).parents[2] / "README.md"
URL = "redis://localhost:6379/0"


def example(title: str, redis_url: str) -> str:
    """Return the Python under a heading, for our server instead of the default one."""
    found = re.search(rf"## {title}.*?```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    assert found
    code = found[1].replace(URL, redis_url)
    return code.replace("redis.Redis(", f"redis.Redis.from_url('{redis_url}', ")


def test_the_producer_and_the_consumer_understand_each_other(
    service: Service, tmp_path: Path
) -> None:
    """Plain Celery sends, a plain Redis client hears the outcome."""
    service.load("ev_1")
    service.start_worker()
    with subprocess.Popen(
        [sys.executable, "-u", "-c", example("A consumer", service.users.consumer)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    ) as consumer:
        assert consumer.stdout is not None
        while not dict(service.redis.pubsub_numsub("event-outcomes"))["event-outcomes"]:
            assert consumer.poll() is None
        producer = [sys.executable, "-c", example("A producer", service.users.producer)]
        subprocess.run(producer, check=True, cwd=tmp_path)
        assert '"id":"ev_1","updated":true' in consumer.stdout.readline()
        consumer.kill()
