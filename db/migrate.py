"""Bring a database to the newest schema, from code.

`settle migrate`, the demo and the tests all come through here, so what is
tested is what is deployed.
"""

from __future__ import annotations

import alembic.command
import alembic.config
from alembic.util import CommandError
from sqlalchemy.exc import SQLAlchemyError

from db.errors import DatabaseError, TransientDatabaseError, translate_error
from db.revisions import MIGRATIONS


def migrate(database_url: str, revision: str = "head") -> None:
    """Upgrade the schema to a revision; do nothing if it is there already.

    Args:
        database_url: See `db.engine.engine_url`.
        revision: An Alembic revision, `head` for the newest.

    Raises:
        TransientDatabaseError: The database is away, or another session holds a lock.
        DatabaseError: The database refuses the change, or a newer version has migrated it.
    """
    config = _config()
    config.attributes["database_url"] = database_url
    try:
        alembic.command.upgrade(config, revision)
    except SQLAlchemyError as error:
        raise _say_what_next(translate_error(error)) from error
    except CommandError as error:
        raise DatabaseError(f"{error}: a newer version of Settle has migrated it") from error


def _say_what_next(error: DatabaseError) -> DatabaseError:
    if isinstance(error, TransientDatabaseError) and error.took_too_long:
        return TransientDatabaseError(
            f"{error}; run `settle migrate` again at a quieter moment: what it has done stays, "
            "and an index that is built in part is built anew"
        )
    return error


def _config() -> alembic.config.Config:
    config = alembic.config.Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
