"""Real workers, started as an operator would, and a producer with nothing but Celery."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.service import Service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def service(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Service]:
    """Give a service without a worker yet."""
    with closing(Service(database_url, redis_url, tmp_path)) as service:
        yield service
