"""What of a database URL reaches the driver."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from sqlalchemy import event

from db.engine import engine_url, make_engine

if TYPE_CHECKING:
    from collections.abc import Mapping


class Reached(Exception):  # noqa: N818 - no error: it is where the test wanted to be
    """The driver would connect now."""


def connect_parameters(url: str) -> Mapping[str, Any]:
    """Return what the driver is called with."""
    engine = make_engine(
        url, application_name="settle", statement_timeout_seconds=30, lock_timeout_seconds=10
    )
    reached: dict[str, Any] = {}

    def connect(_dialect: Any, _entry: Any, _args: Any, parameters: dict[str, Any]) -> NoReturn:
        reached.update(parameters)
        raise Reached

    event.listen(engine, "do_connect", connect)
    with pytest.raises(Reached):
        engine.connect()
    return reached


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        pytest.param(
            "db/settle?sslmode=require&sslrootcert=/ca.pem&target_session_attrs=read-write",
            {
                "host": "db",
                "sslmode": "require",
                "sslrootcert": "/ca.pem",
                "target_session_attrs": "read-write",
            },
            id="libpq-parameters",
        ),
        pytest.param(
            "one:5433,two:5434/settle?target_session_attrs=primary",
            {"host": "one,two", "port": "5433,5434", "target_session_attrs": "primary"},
            id="several-hosts",
        ),
        pytest.param(
            "one,two:5434,[::1]/settle",
            {"host": "one,two,::1", "port": "5432,5434,5432"},
            id="several-hosts-some-ports",
        ),
        pytest.param(
            "/settle?host=one:5433&host=two:5434",
            {"host": "one,two", "port": "5433,5434"},
            id="several-hosts-as-parameters",
        ),
        pytest.param("[::1]:5433/settle", {"host": "::1", "port": 5433}, id="ipv6"),
        pytest.param("/settle?host=/run/postgresql", {"host": "/run/postgresql"}, id="socket"),
        pytest.param(
            "db/settle?options=endpoint%3Dep-1",
            {"host": "db", "options": "endpoint=ep-1"},
            id="options",
        ),
    ],
)
@pytest.mark.parametrize("password", ["p", "p,q"])
def test_a_url_reaches_the_driver(address: str, expected: dict[str, Any], password: str) -> None:
    """With every host and every parameter, whatever is in the password."""
    given = connect_parameters(f"postgres://u:{password}@{address}")
    assert {name: given[name] for name in expected} == expected
    assert (given["user"], given["password"], given["dbname"]) == ("u", password, "settle")


def test_what_the_url_says_comes_before_the_defaults() -> None:
    """Which are there for what it does not say."""
    given = connect_parameters("postgresql://db/settle?connect_timeout=60")
    assert (given["connect_timeout"], given["application_name"]) == ("60", "settle")
    given = connect_parameters("postgresql://db/settle?application_name=mine")
    assert (given["connect_timeout"], given["application_name"]) == (5, "mine")
    # In milliseconds: a dead link is noticed long before a statement is given up.
    assert given["tcp_user_timeout"] == 15_000


@pytest.mark.parametrize("address", ["one:x/settle", "one:1,two:x/settle", "one:1,two:2:3/settle"])
def test_a_port_that_is_none_is_refused(address: str) -> None:
    """Without a word of the password."""
    with pytest.raises(ValueError, match="it is not a database URL: write it as in postgresql://"):
        engine_url(f"postgresql://u:hush@{address}")
