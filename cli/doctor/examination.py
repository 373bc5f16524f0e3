"""Checks, made one after the other, whatever becomes of each.

A part is something that can be away as a whole, such as a server. Its checks are
functions of what its `reach` gives, each named as the check is. What a check
raises is its finding. If the part cannot be reached, the first check says so and
the others say that they were not made.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from service.addresses import hide_password
from service.finding import Finding, failure, unknown
from service.pages import section

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    Check = Callable[[Any], Finding]


@dataclass(frozen=True, slots=True)
class Part:
    """Something to examine.

    Attributes:
        title: What it is called.
        address: Where it is, passwords hidden, or more about it.
        fix: What to do if it cannot be reached.
        reach: Gives what the checks are made on.
        checks: The first is the one that fails if the part cannot be reached.
        kind: What it is to the docs, where that is not its title.
    """

    title: str
    address: str
    fix: str
    reach: Callable[[], AbstractContextManager[Any]]
    checks: Sequence[Check]
    kind: str = ""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one check of one part found."""

    part: Part
    check: str
    finding: Finding

    @property
    def page(self) -> str:
        """Return the page and the section that say more of it."""
        return section(self.part.kind or self.part.title, self.check)


def examine(part: Part) -> Iterator[CheckResult]:
    """Make every check of a part."""
    first, *others = part.checks
    with ExitStack() as stack:
        try:
            subject = stack.enter_context(part.reach())
        except Exception as error:  # noqa: BLE001 - whatever it is, it is away
            yield CheckResult(part, _name(first), failure(f"not reached: {say(error)}", part.fix))
            for check in others:
                yield CheckResult(part, _name(check), unknown(f"not checked: no {part.title}"))
            return
        for check in part.checks:
            yield CheckResult(part, _name(check), _make(check, subject))


def _make(check: Check, subject: Any) -> Finding:
    try:
        return check(subject)
    except Exception as error:  # noqa: BLE001 - the other checks are to be made all the same
        return unknown(f"could not be checked: {say(error)}")


def _name(check: Check) -> str:
    return check.__name__.replace("_", " ")


def say(error: Exception) -> str:
    """Say in one line, and without a password, what went wrong."""
    if isinstance(error, ValueError):
        # It may quote a part of the URL, and that part may be the password.
        return "the URL cannot be understood; is its password percent-encoded?"
    return hide_password(str(error)).strip().partition("\n")[0] or type(error).__name__
