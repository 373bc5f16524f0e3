"""Arrays as they are sent, read back by PostgreSQL itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.arrays import array_literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Urls


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
HARD = st.sampled_from(["", "NULL", "null", '"', "\\", '\\"', "{}", ",", " a ", "\n", '","'])


@pytest.fixture(scope="module")
def connection(urls: Urls) -> Iterator[psycopg.Connection]:
    """Give a connection."""
    with psycopg.connect(urls.database) as connection:
        yield connection


@given(values=st.lists(TEXT | HARD | st.none(), max_size=20))
def test_every_array_arrives_as_it_is(
    connection: psycopg.Connection, values: list[str | None]
) -> None:
    """Whatever its elements contain, NULLs among them or not."""
    row = connection.execute("SELECT %s::text[]", [array_literal(values)]).fetchone()
    assert row == (values,)


def test_nul_is_refused(connection: psycopg.Connection) -> None:
    """It would end an element early otherwise."""
    for values in (["a\0b"], ["a", "b\0", None], ["\0", "\0"]):
        with pytest.raises(psycopg.DataError):
            connection.execute("SELECT %s::text[]", [array_literal(values)])
