"""`settle init`: what is needed to begin on servers of one's own, with least privilege."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from cli.access import draw
from cli.shell import find_commands

# Whoever may read them may do what they say.
FILE_MODE, FOLDER_MODE = 0o600, 0o700


@click.command("init")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--postgres", default="localhost:5432", show_default=True, metavar="HOST:PORT")
@click.option("--redis", default="localhost:6379", show_default=True, metavar="HOST:PORT")
def command(*, folder: Path, postgres: str, redis: str) -> None:
    """Write roles, users and environments into a new FOLDER, and say what to type.

    Draws a password for each role of PostgreSQL and each user of Redis. Nothing is
    done on a server: an administrator enters what is in the files.
    """
    try:
        folder.mkdir(mode=FOLDER_MODE, parents=True)
        # Passwords are nobody's to commit.
        (folder / ".gitignore").write_text("*\n", "utf-8")
        for name, text in draw(postgres, redis).items():
            path = folder / name
            path.touch(FILE_MODE)
            path.write_text(text, "utf-8")
    except FileExistsError as error:
        raise click.ClickException(
            f"{folder} is there already: other passwords would lock out who has those in it"
        ) from error
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}") from error
    click.echo(_what_to_type(shlex.quote(str(folder))))


def _what_to_type(folder: str) -> str:
    return f"""\
Written, and readable by you alone: {folder}. On the servers, as their administrator, in this order:

  {find_commands()}
  sudo -u postgres psql < {folder}/database.sql
  redis-cli < {folder}/users.acl
  env $(cat {folder}/owner.env) settle migrate
  sudo -u postgres psql settle < {folder}/roles.sql

Then see whether all is well, and start a worker:

  env $(cat {folder}/worker.env) settle doctor
  env $(cat {folder}/worker.env) celery -A worker worker

The other files are for who else connects: see docs/privileges.md."""
