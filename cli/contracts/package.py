"""What the package says of itself, for the head of a document."""

from __future__ import annotations

from importlib.metadata import metadata
from typing import Any


def information() -> dict[str, Any]:
    """Say what is described, and which version of it."""
    package = metadata("settle")
    return {
        "title": "Settle",
        "version": package["Version"],
        "description": package["Summary"],
        "license": {"name": package["License-Expression"]},
    }
