"""Marks what is pending and hears of all outcomes, over HTTP: a connector without a broker.

SETTLE_API_KEY=settle_… python connector.py position.txt

SETTLE_URL is the gateway, http://127.0.0.1:8000 if not set. The file keeps where it is among the
outcomes. Started again, or after whatever happens, it goes on there, and with what is pending.
"""

import os
import sys
from itertools import islice
from pathlib import Path

from settle_client import Event, GoneError, HttpClient, StatusUpdate

URL = os.environ.get("SETTLE_URL", "http://127.0.0.1:8000")
TOGETHER = 100


def do_work(event: Event) -> StatusUpdate:
    """Do what the event is about, and say what becomes of it."""
    return StatusUpdate(event.id, "completed" if event.payload else "failed")


def settle_pending(client: HttpClient) -> None:
    """Do the work of each event that is pending, and settle many in one request."""
    pending = client.list_events(status="pending")
    while updates := [do_work(event) for event in islice(pending, TOGETHER)]:
        client.settle_together(updates)


def hear(client: HttpClient, place: Path) -> None:
    """Hear of all outcomes, also of those that others have asked for."""
    for position, outcome in client.listen(place.read_text()):
        if outcome:
            # It may come twice: outcome.identity tells.
            print(outcome.id, outcome.reason or "updated", flush=True)
        keep(place, position)


def keep(place: Path, position: str) -> None:
    """Write down how far all is heard, whole or not at all, whenever this is killed."""
    written = place.with_suffix(".new")
    written.write_text(position)
    written.replace(place)


def main(place: Path) -> None:
    """Settle what is pending, and listen for ever."""
    with HttpClient(URL, api_key=os.environ.get("SETTLE_API_KEY")) as client:
        if not place.exists():
            keep(place, client.position())
        settle_pending(client)
        while True:
            try:
                hear(client, place)
            except GoneError as error:
                # Some outcomes are gone, and were not heard. The rest begins there.
                print(error, file=sys.stderr)
                keep(place, error.begin or "oldest")


if len(sys.argv) != 2:  # noqa: PLR2004
    sys.exit("usage: python connector.py POSITION-FILE")
main(Path(sys.argv[1]))
