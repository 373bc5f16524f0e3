"""What the client imports: little, and nothing that its users would not have asked for."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

# Heavy, or not installed where the client is.
WATCHED = (
    *("asyncio", "dataclasses", "celery", "kombu", "amqp", "pydantic", "pydantic_settings"),
    *("sqlalchemy", "redis", "opentelemetry", "ssl", "logging", "http.client", "httpx", "email"),
)
OURS = ("cli", "worker", "gateway", "service", "tasks", "db", "celeryconfig")


def imported_by(statement: str) -> set[str]:
    """Return every module that a fresh interpreter has after a statement."""
    script = f"import json, sys; {statement}; print(json.dumps(sorted(sys.modules)))"
    # Without what site-packages may start by themselves.
    printed = subprocess.check_output([sys.executable, "-c", script], text=True)
    return set(json.loads(printed))


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        pytest.param("import settle_client", set(), id="the-package"),
        pytest.param("from settle_client import StatusUpdate, Outcome", set(), id="the-types"),
        pytest.param("from settle_client import Producer, OutcomeClient", set(), id="sync"),
        pytest.param(
            "from settle_client import AsyncProducer, AsyncOutcomeClient",
            {"asyncio", "ssl", "logging"},
            id="asyncio",
        ),
        pytest.param("from settle_client import HttpClient", set(), id="http"),
        pytest.param(
            "from settle_client import AsyncHttpClient",
            {"asyncio", "ssl", "logging"},
            id="http-asyncio",
        ),
    ],
)
def test_what_is_heavy_is_not_imported(statement: str, expected: set[str]) -> None:
    """Asyncio only with the face of asyncio, and nobody's driver before it is needed."""
    without = imported_by("import msgspec, uuid")
    found = imported_by(statement) - without
    assert {name for name in WATCHED if name in found} <= expected
    assert {name for name in OURS if name in found} == set()


def test_a_producer_on_redis_needs_no_kombu() -> None:
    """Only redis-py, once there is one."""
    found = imported_by("from settle_client import Producer; Producer('redis://h')")
    assert "redis" in found
    assert {name for name in ("kombu", "celery", "amqp") if name in found} == set()


def test_a_client_over_http_needs_neither_redis_nor_kombu() -> None:
    """Only httpx, once there is one."""
    found = imported_by("from settle_client import HttpClient; HttpClient('http://h')")
    assert "httpx" in found
    assert {name for name in ("redis", "kombu", "celery") if name in found} == set()


def test_without_httpx_its_extra_is_named() -> None:
    """When a client is made; all else is there without."""
    script = (
        "import sys; sys.modules['httpx'] = None\n"
        "from settle_client import *\n"
        "try: HttpClient('http://h')\n"
        "except AddressError as error: print(error)"
    )
    printed = subprocess.check_output([sys.executable, "-c", script], text=True)
    assert printed == "HTTP needs httpx: pip install settle-client[http]\n"
