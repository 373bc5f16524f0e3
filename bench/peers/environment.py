"""An environment of its own for celery-batches, which needs an older Celery."""

from __future__ import annotations

import atexit
import subprocess
import sys
from contextlib import ExitStack
from functools import cache

from worker.embedded import temporary_folder

_KEPT = ExitStack()
atexit.register(_KEPT.close)


@cache
def python_with_celery_batches() -> str:
    """Return its Python; it is made when first asked for and kept while this process lasts."""
    folder = _KEPT.enter_context(temporary_folder())
    uv = ("uv", "--quiet")
    subprocess.run([*uv, "venv", "--python", sys.executable, str(folder / "venv")], check=True)
    python = str(folder / "venv/bin/python")
    packages = ("celery-batches==0.11", "celery[redis]<5.7", "psycopg[binary]", "hiredis")
    subprocess.run([*uv, "pip", "install", "--python", python, *packages], check=True)
    return python
