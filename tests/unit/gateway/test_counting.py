"""Which operation a request is counted for."""

from __future__ import annotations

import pytest

from gateway.counting import operation_of
from gateway.metrics import OPERATIONS


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("PATCH", "/v2/api/events/batch", "settleEvents"),
        ("GET", "/v2/api/events/batch", "settleEvents"),
        ("PATCH", "/v2/api/events", "settleEvent"),
        ("POST", "/v2/api/events", "createEvents"),
        ("GET", "/v2/api/events", "listEvents"),
        ("HEAD", "/v2/api/events", "listEvents"),
        ("PURGE", "/v2/api/events", "other"),
        ("GET", "/v2/api/events/ev_1", "getEvent"),
        ("GET", "/v2/api/eventss", "other"),
        ("GET", "/", "other"),
    ],
)
def test_a_request_is_counted_for_its_operation(method: str, path: str, operation: str) -> None:
    """By path and method, so that whoever asks for nonsense makes no new series."""
    assert operation_of(method, path) == operation
    assert operation in OPERATIONS
