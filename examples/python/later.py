"""Sends updates that are to be answered later, and asks until all of their outcomes are there.

SETTLE_API_KEY=settle_… python later.py nightly-17 completed ev_1 ev_2

The Idempotency-Key comes first: started again with it, this is the same message, and goes on
asking. SETTLE_URL is the gateway, http://127.0.0.1:8000 if not set.
"""

import json
import os
import sys
import time
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

URL = os.environ.get("SETTLE_URL", "http://127.0.0.1:8000")
LATER = {408, 429, 502, 503, 504}  # 502 and 504 are a proxy's
TRIES = 60


def reason_of(error: HTTPError) -> str:
    """Return what an error says; a proxy's page says no more than its status."""
    try:
        return f"{error.code} {json.load(error)['message']}"
    except (ValueError, TypeError, KeyError):
        return str(error)


def ask(path: str, method: str = "GET", body: Any = None, **headers: str) -> tuple[Any, Any]:
    """Ask until there is an answer, and return it with its headers."""
    if key := os.environ.get("SETTLE_API_KEY"):
        headers["Authorization"] = f"Bearer {key}"
    data = None if body is None else json.dumps(body).encode()
    request = Request(URL + path, data, headers, method=method)  # noqa: S310
    for number in range(1, TRIES + 1):
        try:
            with urlopen(request, timeout=30) as answer:  # noqa: S310
                return json.load(answer), answer.headers
        except HTTPError as error:
            if error.code not in LATER or number == TRIES:
                sys.exit(reason_of(error))
        except ValueError:
            sys.exit(f"this is no answer of Settle's: see whether {URL} is right")
        except (OSError, HTTPException) as error:
            # No answer at all is a reason to try again, too.
            if number == TRIES:
                sys.exit(str(error))
        time.sleep(1)
    raise AssertionError


def main(message_id: str, status: str, *ids: str) -> None:
    """Send, and ask until nothing is awaited."""
    headers = {"Content-Type": "application/json", "Prefer": "respond-async"}
    headers["Idempotency-Key"] = message_id
    updates = [{"id": id_, "status": status} for id_ in ids]
    _, accepted = ask("/v2/api/events/batch", "PATCH", updates, **headers)
    while True:
        state, asked = ask(accepted["Location"])
        if not state["awaited"]:
            break
        time.sleep(float(asked.get("Retry-After", 1)))
    for outcome in state["outcomes"]:
        print(outcome["id"], outcome["reason"] or "updated")


if len(sys.argv) < 4:  # noqa: PLR2004
    sys.exit("usage: python later.py KEY STATUS EVENT …")
main(*sys.argv[1:])
