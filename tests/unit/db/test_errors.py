"""What the driver's errors are taken for, and what of them is shown."""

from __future__ import annotations

import psycopg
import pytest
import sqlalchemy.exc

from db import Database, Settlement
from db.errors import (
    BadDataError,
    DatabaseError,
    NotAllowedError,
    TransientDatabaseError,
    translate_error,
)


class Refused(psycopg.Error):
    """An error that PostgreSQL sends."""

    def __init__(self, sqlstate: str | None, text: str = "refused") -> None:
        super().__init__(text)
        self.sqlstate = sqlstate


def wrapped(
    error: BaseException | None,
    kind: type[sqlalchemy.exc.DBAPIError] = sqlalchemy.exc.DBAPIError,
    *,
    lost: bool = False,
) -> sqlalchemy.exc.DBAPIError:
    """Return what SQLAlchemy makes of a driver's error."""
    return kind("SELECT :secret", {"secret": "hush"}, error, connection_invalidated=lost)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("sqlstate", "expected"),
    [
        pytest.param("08006", TransientDatabaseError, id="connection failure"),
        pytest.param("53300", TransientDatabaseError, id="too many connections"),
        pytest.param("57014", TransientDatabaseError, id="statement timeout"),
        pytest.param("57P01", TransientDatabaseError, id="shutdown"),
        pytest.param("25006", TransientDatabaseError, id="read-only"),
        pytest.param("40001", TransientDatabaseError, id="serialization"),
        pytest.param("40P01", TransientDatabaseError, id="deadlock"),
        pytest.param("55P03", TransientDatabaseError, id="lock timeout"),
        pytest.param("22021", BadDataError, id="not text"),
        pytest.param("23514", BadDataError, id="a constraint"),
        pytest.param("42501", NotAllowedError, id="no privilege"),
        pytest.param("42P01", DatabaseError, id="no table"),
        pytest.param("25P02", DatabaseError, id="aborted transaction"),
    ],
)
def test_what_postgresql_says_is_classed_by_what_to_do(
    sqlstate: str, expected: type[DatabaseError]
) -> None:
    """The same batch later, without the value that is to blame, or when somebody has acted."""
    classed = translate_error(wrapped(Refused(sqlstate)))
    assert type(classed) is expected
    assert str(classed) == f"{sqlstate}: refused"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (sqlalchemy.exc.OperationalError, TransientDatabaseError),
        (sqlalchemy.exc.DataError, BadDataError),
        (sqlalchemy.exc.ProgrammingError, DatabaseError),
    ],
    ids=["no connection", "cannot be sent", "another"],
)
def test_what_the_driver_says_by_itself_is_classed_too(
    kind: type[sqlalchemy.exc.DBAPIError], expected: type[DatabaseError]
) -> None:
    """PostgreSQL has not spoken: there is no code."""
    classed = translate_error(wrapped(Refused(None, "the driver's words"), kind))
    assert type(classed) is expected
    assert str(classed) == "the driver's words"


def test_no_connection_to_be_had_in_time_is_transient() -> None:
    """All of the pool's are taken: SQLAlchemy itself says so."""
    classed = translate_error(sqlalchemy.exc.TimeoutError("QueuePool limit reached"))
    assert type(classed) is TransientDatabaseError
    assert str(classed) == "QueuePool limit reached"


@pytest.mark.parametrize("lost", [True, False], ids=["lost", "kept"])
def test_an_error_says_whether_the_connection_was_lost(lost: bool) -> None:
    """Then it is not known whether anything was applied, and another one may do."""
    classed = translate_error(wrapped(Refused("40001"), lost=lost))
    assert isinstance(classed, TransientDatabaseError)
    assert classed.connection_was_lost is lost


def test_a_lost_connection_is_transient_whatever_was_said_last() -> None:
    """The batch may succeed on another one."""
    assert type(translate_error(wrapped(Refused("42501"), lost=True))) is TransientDatabaseError


@pytest.mark.parametrize("sqlstate", ["23514", None], ids=["PostgreSQL", "driver"])
def test_only_the_first_line_is_said(sqlstate: str | None) -> None:
    """The others may quote the values of a row."""
    classed = translate_error(
        wrapped(Refused(sqlstate, "a check failed\nDETAIL: (hush)\nCONTEXT: …\n"))
    )
    assert str(classed).endswith("a check failed")


def test_what_is_said_has_an_end() -> None:
    """It may be in the outcome of every update of a batch."""
    assert len(str(translate_error(wrapped(Refused("23514", "x" * 100_000))))) < 1_100


def test_an_error_without_words_says_what_its_class_means() -> None:
    """The docstring of the class is the message."""
    assert str(TransientDatabaseError()) == TransientDatabaseError.__doc__


def test_a_database_that_is_away_is_transient() -> None:
    """Nobody listens there, and the error says nothing secret."""
    database = Database("postgresql://user:secret@127.0.0.1:1/nothing")
    with pytest.raises(TransientDatabaseError) as caught:
        database.settle_pending_events([Settlement("ev_1", "completed", None, "m")])
    assert "secret" not in str(caught.value)
