"""Every document by the path under which it is written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from cli.contracts import asyncapi, openapi, schemas

if TYPE_CHECKING:
    from pathlib import Path


def documents() -> dict[str, str]:
    """Return the text of each document, by its path under the directory of contracts."""
    parts = {
        "openapi.json": openapi.document(),
        "asyncapi.json": asyncapi.document(),
        **schemas.files(),
    }
    return {path: f"{json.dumps(part, indent=2)}\n" for path, part in parts.items()}


def write(directory: Path) -> list[str]:
    """Write all of them, and return their paths under the directory."""
    texts = documents()
    for path, text in texts.items():
        file = directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return list(texts)
