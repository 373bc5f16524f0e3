"""Numbers in a few characters."""

from __future__ import annotations

UNKNOWN = "-"
TEN = 10


def amount(value: float | None) -> str:
    """Write a number of things, such as `999,999` or `1.23 M`."""
    if value is None:
        return UNKNOWN
    for unit, size in (("G", 1e9), ("M", 1e6)):
        if round(value) >= size:
            return f"{value / size:.2f} {unit}"
    return f"{value:,.0f}"


def rate(value: float | None) -> str:
    """Write how many a second, the first decimal too while it matters."""
    return f"{value:.1f}" if value is not None and 0 < value < TEN else amount(value)


def duration(seconds: float | None) -> str:
    """Write a time, such as `2.1 ms`, `1.5 s` or `3 min`."""
    if seconds is None:
        return UNKNOWN
    for unit, size, most in (("ms", 1e-3, 1.0), ("s", 1.0, 100.0), ("min", 60.0, 6000.0)):
        if seconds < most:
            value = seconds / size
            return f"{value:.1f} {unit}" if value < TEN and unit != "min" else f"{value:.0f} {unit}"
    return f"{seconds / 3600:,.0f} h"
