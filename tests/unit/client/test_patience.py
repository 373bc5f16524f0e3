"""Which trouble passes by itself, by the errors that redis-py really raises."""

from __future__ import annotations

import pytest
from redis import exceptions
from redis.sentinel import MasterNotFoundError

from settle_client.patience import passes


@pytest.mark.parametrize(
    "error",
    [
        exceptions.ConnectionError("closed"),
        exceptions.TimeoutError("slow"),
        exceptions.BusyLoadingError("loading"),
        exceptions.ReadOnlyError("a replica"),
        exceptions.MasterDownError("down"),
        MasterNotFoundError("none"),
        OSError("no route"),
        exceptions.ResponseError("UNBLOCKED force unblock from blocking operation, …"),
        exceptions.ResponseError("MISCONF Redis is configured to save RDB snapshots, …"),
        exceptions.ResponseError("BUSY Redis is busy running a script."),
    ],
    ids=repr,
)
def test_what_may_be_over_soon_passes(error: Exception) -> None:
    """The server is away, or says that it cannot now."""
    assert passes(error)


@pytest.mark.parametrize(
    "error",
    [
        exceptions.AuthenticationError("WRONGPASS"),
        exceptions.AuthorizationError("no"),
        exceptions.NoPermissionError("no"),
        exceptions.ResponseError("BUSYGROUP Consumer Group name already exists"),
        exceptions.ResponseError("WRONGTYPE Operation against a key"),
        exceptions.DataError("a bug"),
        ValueError("a bug"),
    ],
    ids=repr,
)
def test_what_somebody_must_see_to_does_not(error: Exception) -> None:
    """A right, a password, a mistake."""
    assert not passes(error)
