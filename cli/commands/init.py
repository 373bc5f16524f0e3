"""`settle init`: what is needed to begin on servers of one's own, with least privilege."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.access import draw
from cli.shell import find_commands

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.decorators import FC

# Whoever may read them may do what they say.
FILE_MODE, FOLDER_MODE = 0o600, 0o700
PLACE = re.compile(r"([\w.-]+|\[[\da-fA-F:.]+\])(:\d{1,5})?")


def read_place(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    """Read where a server is.

    Raises:
        click.BadParameter: It is something else, such as a URL.
    """
    if not PLACE.fullmatch(value):
        raise click.BadParameter(f"{value!r} is not a host and a port, as in db.example.com:5432")
    return value


def place_option(name: str, port: int) -> Callable[[FC], FC]:
    """Make an option that says where a server is."""
    return click.option(
        name,
        default=f"localhost:{port}",
        show_default=True,
        metavar="HOST:PORT",
        callback=read_place,
    )


@click.command("init")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@place_option("--postgres", 5432)
@place_option("--redis", 6379)
def command(*, folder: Path, postgres: str, redis: str) -> None:
    """Write roles, users and environments into a new FOLDER, and say what to type.

    Draws a password for each role of PostgreSQL and each user of Redis. Nothing is
    done on a server: an administrator enters what is in the files.
    """
    try:
        folder.mkdir(mode=FOLDER_MODE, parents=True)
        _fill(folder, draw(postgres, redis))
    except FileExistsError as error:
        raise click.ClickException(
            f"{folder} is there already: other passwords would lock out who has those in it"
        ) from error
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}") from error
    click.echo(_what_to_type(shlex.quote(str(folder))))


def _fill(folder: Path, texts: dict[str, str]) -> None:
    try:
        # Passwords are nobody's to commit.
        (folder / ".gitignore").write_text("*\n", "utf-8")
        for name, text in texts.items():
            path = folder / name
            path.touch(FILE_MODE)
            path.write_text(text, "utf-8")
    except BaseException:  # also Ctrl-C
        # Nobody has entered any of it, and a half of it would be in the way of another try.
        shutil.rmtree(folder, ignore_errors=True)
        raise


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
