"""The client's errors, as they come out of other processes."""

from __future__ import annotations

import copy
import pickle

import pytest

from settle_client.errors import (
    ConflictError,
    GoneError,
    InvalidUpdateError,
    NotAnsweredError,
    NotSentError,
    SettleError,
)
from settle_client.outcome import Problem

PROBLEM = Problem.of(410, "gone")
ERRORS = [
    SettleError("why"),
    InvalidUpdateError("id: is required"),
    NotSentError(["m_1", "m_2"], 30, None),
    NotAnsweredError("why", PROBLEM),
    ConflictError("why", PROBLEM),
    GoneError("why", PROBLEM, "1-0"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_may_come_from_another_process(error: SettleError) -> None:
    """With all that it says, as a pool of processes hands it on."""
    if isinstance(error, ConflictError):
        error.message_id = "m"
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301 - our own
        assert type(other) is type(error)
        assert str(other) == str(error)
        assert vars(other) == vars(error)
