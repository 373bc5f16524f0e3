"""What a benchmark may raise."""

from __future__ import annotations


class BenchError(Exception):
    """A run did not do what it is compared for."""


class LeftOutError(BenchError):
    """What it needs is not installed here: the others are compared without it."""
