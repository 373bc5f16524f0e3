"""What `settle webhooks list` says of an endpoint."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cli.printable import printable

if TYPE_CHECKING:
    from webhooks.looking import Standing


def fields_of(standing: Standing) -> dict[str, Any]:
    """Return what there is to say of an endpoint, for machines."""
    fields = standing.fields
    return {
        "name": standing.name,
        "state": standing.state,
        "waiting": standing.waiting,
        "oldestSeconds": standing.oldest_seconds,
        "delivered": int(fields.get("delivered", 0)),
        "failures": int(fields.get("failures", 0)),
        "failingSince": _moment(fields.get("failing_since")),
        "error": fields.get("disabled") or fields.get("error"),
        "kept": standing.kept,
    }


def lines_of(standing: Standing, *, is_known: bool) -> list[str]:
    """Return the same for people, of one that is in the file or is not."""
    fields = fields_of(standing)
    age, counts = standing.oldest_seconds, f"{fields['delivered']:,} delivered"
    oldest = "" if age is None else f", the oldest for {age:,.0f} s"
    waiting = f"{standing.waiting:,} waiting{oldest}"
    lines = [f"{standing.name}: {standing.state}, {counts}, {waiting}"]
    if not is_known:
        return [*lines, f"  not in the file: settle webhooks drop {standing.name} forgets it"]
    if standing.state != "delivering":
        since = f"{fields['failures']:,} failures since {fields['failingSince']}"
        lines.append(f"  {since}: {printable(fields['error'] or '')}")
    if standing.state == "disabled":
        lines.append(f"  to try again: settle webhooks enable {standing.name}")
    if standing.kept:
        lines.append(f"  {standing.kept:,} set aside: settle webhooks kept {standing.name}")
    return lines


def _moment(seconds: str | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(float(seconds), UTC).isoformat(timespec="seconds")
