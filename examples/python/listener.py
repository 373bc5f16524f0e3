"""Listens for outcomes over HTTP, with Python alone, and goes on after whatever happens.

SETTLE_API_KEY=settle_… python listener.py position.txt

SETTLE_URL is the gateway, http://127.0.0.1:8000 if not set. The file keeps the id of what was
handled last; without one it begins with the oldest outcome that is kept.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

URL = os.environ.get("SETTLE_URL", "http://127.0.0.1:8000") + "/v2/api/outcomes?after=oldest"
SILENT_SECONDS = 60  # four heartbeats
GONE = 410
LATER = {429, 500, 502, 503, 504}  # 502 and 504 are a proxy's


def listen(last_id: str) -> Iterator[tuple[str, str, Any]]:
    """Give the id, the type and the data of each event, from an id on."""
    headers = {"Accept": "text/event-stream"}
    if key := os.environ.get("SETTLE_API_KEY"):
        headers["Authorization"] = f"Bearer {key}"
    if last_id:
        headers["Last-Event-ID"] = last_id
    with urlopen(Request(URL, headers=headers), timeout=SILENT_SECONDS) as answer:  # noqa: S310
        fields: dict[str, str] = {}
        for line in answer:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name:
                fields[name] = value
            elif "id" in fields:
                data = fields.get("data")
                yield fields["id"], fields.get("event", "message"), data and json.loads(data)
                fields = {}


def reason_of(error: HTTPError) -> str:
    """Return what an error says; a proxy's page says no more than its status."""
    try:
        return str(json.load(error)["message"])
    except (ValueError, TypeError, KeyError):
        return str(error)


def keep(place: Path, position: str) -> None:
    """Write down how far all is handled, whole or not at all, whenever this is killed."""
    written = place.with_suffix(".new")
    written.write_text(position)
    written.replace(place)


def main(place: Path) -> None:
    """Listen for ever."""
    last_id = place.read_text() if place.exists() else ""
    while True:
        try:
            for position, kind, data in listen(last_id):
                if kind == "problem":
                    print(data["message"], file=sys.stderr)
                elif isinstance(data, dict) and "updated" in data:
                    # It may come twice: messageId and index tell.
                    print(data["id"], data["reason"] or "updated", flush=True)
                elif data is not None:
                    print("no outcome, and passed over:", data, file=sys.stderr)
                last_id = position
                keep(place, last_id)
        except HTTPError as error:
            print(reason_of(error), file=sys.stderr)
            if error.code == GONE:
                # Some are gone, and were not handled. The rest begins with the oldest.
                last_id = ""
            elif error.code not in LATER:
                sys.exit(1)
        except (OSError, HTTPException) as error:
            print(error, file=sys.stderr)
        time.sleep(1)


if len(sys.argv) != 2:  # noqa: PLR2004
    sys.exit("usage: python listener.py POSITION-FILE")
main(Path(sys.argv[1]))
