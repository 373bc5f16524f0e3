"""The endpoints that outcomes are pushed to: whether the file that stands there is taken.

How they stand is `settle webhooks list`'s to say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.finding import Finding, failure, ok
from service.settings import SettingsError
from webhooks.endpoints import Endpoints

if TYPE_CHECKING:
    from pathlib import Path


def endpoints(file: Path) -> Finding:
    """Check that `settle webhooks` understands the file."""
    try:
        Endpoints(file)
    except SettingsError as error:
        return failure(
            str(error).partition(": ")[2],
            "mend it: webhooks do not start with it, and those that run keep what stood there",
        )
    return ok("the file is understood")


CHECKS = (endpoints,)
