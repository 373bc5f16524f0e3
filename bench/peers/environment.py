"""An environment of its own for celery-batches, which needs an older Celery."""

from __future__ import annotations

import atexit
import shutil
import subprocess
import sys
from contextlib import ExitStack
from functools import cache

from bench.errors import BenchError, LeftOutError
from cli.embedded import temporary_folder

_KEPT = ExitStack()
atexit.register(_KEPT.close)


@cache
def python_with_celery_batches() -> str:
    """Return its Python; it is made when first asked for and kept while this process lasts.

    Raises:
        LeftOutError: There is no uv here.
        BenchError: It cannot be made.
    """
    if not shutil.which("uv"):
        raise LeftOutError("no uv here, which makes its environment: install it")
    folder = _KEPT.enter_context(temporary_folder())
    uv = ("uv", "--quiet")
    python = str(folder / "venv/bin/python")
    packages = ("celery-batches==0.11", "celery[redis]<5.7", "psycopg[binary]", "hiredis")
    try:
        subprocess.run([*uv, "venv", "--python", sys.executable, str(folder / "venv")], check=True)
        subprocess.run([*uv, "pip", "install", "--python", python, *packages], check=True)
    except subprocess.CalledProcessError as error:
        raise BenchError("the environment of celery-batches could not be made") from error
    return python
