"""Whether updates can be settled in a database, found out again and again."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import sqlalchemy

from cli.embedded import free_port
from db import Database
from service.database_checks import ASK_DOCTOR, MIGRATE, START
from service.fitness import Fitness

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def fitness(database: Database, database_url: str) -> Fitness:
    """Give a look at a database that is as it should be."""
    return Fitness(database, database_url)


@pytest.fixture
def owner(database_url: str) -> Iterator[psycopg.Connection]:
    """Give a way to change it."""
    with psycopg.connect(database_url, autocommit=True) as owner:
        yield owner


def test_a_good_database_is_examined_once(fitness: Fitness) -> None:
    """Then it is one statement, which settles nothing, and a look at what waits."""
    assert fitness.look() is None
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    of_any_engine = (sqlalchemy.Engine, "before_cursor_execute", note)
    sqlalchemy.event.listen(*of_any_engine)
    for _ in range(3):
        assert fitness.look() is None
    sqlalchemy.event.remove(*of_any_engine)
    assert ["UPDATE events" in statement for statement in statements] == [True, False] * 3


def test_what_goes_wrong_later_is_found_and_so_is_its_end(
    fitness: Fitness, owner: psycopg.Connection
) -> None:
    """With the fix; without anything being started anew."""
    for _ in range(2):
        assert fitness.look() is None
        owner.execute("ALTER TABLE events RENAME TO hidden")
        assert fitness.look() == ("there is no events table in the search path", MIGRATE, False)
        owner.execute("ALTER TABLE hidden RENAME TO events")
    assert fitness.look() is None


def test_a_newer_schema_is_no_obstacle(fitness: Fitness, owner: psycopg.Connection) -> None:
    """A deployment migrates before it replaces the workers."""
    owner.execute("UPDATE alembic_version SET version_num = '9999'")
    assert fitness.look() is None


def test_what_no_check_knows_is_found_too(fitness: Fitness, owner: psycopg.Connection) -> None:
    """The statement itself is tried, and PostgreSQL's words are passed on."""
    owner.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE 'not today'; END $$"
    )
    owner.execute("CREATE TRIGGER closed BEFORE UPDATE ON events EXECUTE FUNCTION refuse()")
    assert fitness.look() == ("P0001: not today", ASK_DOCTOR, False)


def test_a_search_path_that_misleads_is_what_is_to_be_mended(
    fitness: Fitness, owner: psycopg.Connection
) -> None:
    """Nothing was forgotten to be migrated."""
    alter = f'ALTER DATABASE "{owner.info.dbname}" SET search_path TO '.encode()
    owner.execute(alter + b"elsewhere")
    obstacle = fitness.look()
    assert obstacle is not None
    assert "it is in public" in obstacle.found
    owner.execute(alter + b"public")
    assert fitness.look() is None


def test_whatever_a_check_raises_is_an_obstacle(
    fitness: Fitness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table that goes while it is looked at, for example."""

    def fail(_: object) -> None:
        raise ValueError("no row")

    monkeypatch.setattr("service.fitness.NEEDED", (fail,))
    assert fitness.look() == ("ValueError: no row", ASK_DOCTOR, False)


def test_a_database_that_does_not_answer_is_away() -> None:
    """It, or the address of it, is to be mended."""
    url = f"postgresql://u:hush@127.0.0.1:{free_port()}/x"
    with closing(Database(url)) as database:
        obstacle = Fitness(database, url).look()
    assert obstacle is not None
    assert (obstacle.fix, obstacle.is_away) == (START, True)
    assert "hush" not in obstacle.found
