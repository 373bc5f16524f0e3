"""What a check says: a verdict, what was found, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How it stands.

    `FAILURE`: updates or outcomes are, or will be, lost, wrong or stuck.
    `WARNING`: it works, with less margin or more privilege than it should.
    `UNKNOWN`: it could not be found out; which is no failure.
    """

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found, and the fix, where there is something to fix."""

    verdict: Verdict
    found: str
    fix: str = ""


def ok(found: str) -> Finding:
    """Say that all is well."""
    return Finding(Verdict.OK, found)


def warning(found: str, fix: str) -> Finding:
    """Say what is not as it should be."""
    return Finding(Verdict.WARNING, found, fix)


def failure(found: str, fix: str) -> Finding:
    """Say what is wrong."""
    return Finding(Verdict.FAILURE, found, fix)


def unknown(found: str, fix: str = "") -> Finding:
    """Say what could not be found out."""
    return Finding(Verdict.UNKNOWN, found, fix)
