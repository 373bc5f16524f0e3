"""Dead letters as lines of a terminal, of whatever width: nothing that is needed is cut off."""

from __future__ import annotations

import shutil
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cli.printable import printable
from tasks.reasons import kind_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tasks.dead_letters import KeptLetter

INDENT = "  "


@dataclass(slots=True)
class Group:
    """The letters of one kind of reason."""

    kind: str
    first: KeptLetter
    last: KeptLetter
    count: int = 0

    def lines(self) -> Iterator[str]:
        """Yield what there is to say of them."""
        yield from _wrapped(f"{self.count:,} x {self.kind}", "")
        times = dict.fromkeys((self.first.time, self.last.time))
        yield from _wrapped(" to ".join(times), INDENT)
        example = "" if self.last.reason == self.kind else f", {self.last.reason}"
        yield from _wrapped(f"the newest: {self.last.entry}{example}", INDENT)


def by_reason(letters: Iterable[KeptLetter]) -> list[Group]:
    """Return the letters by the kind of their reason, the most frequent first."""
    groups: dict[str, Group] = {}
    for letter in letters:
        kind = kind_of(letter.reason)
        group = groups.setdefault(kind, Group(kind, letter, letter))
        group.last = letter
        group.count += 1
    return sorted(groups.values(), key=lambda group: -group.count)


def has_reason(letter: KeptLetter, text: str) -> bool:
    """Return whether a text is a part of a letter's reason, as it is or as it is listed."""
    return text in letter.reason or text in kind_of(letter.reason)


def block(letter: KeptLetter) -> Iterator[str]:
    """Yield the lines of one letter."""
    yield from _wrapped(f"{letter.entry}  {letter.time}", "")
    index = "" if letter.index is None else f", index {letter.index}"
    deaths = f", {letter.deliveries} workers died with it" if letter.deliveries else ""
    yield from _wrapped(f"message {letter.message_id}{index}{deaths}", INDENT)
    yield from _wrapped(letter.reason, INDENT)


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        printable(text),
        shutil.get_terminal_size().columns,
        initial_indent=indent,
        subsequent_indent=f"{indent}{INDENT}",
        # An id that is longer than a line is copied in one piece all the same.
        break_long_words=False,
        break_on_hyphens=False,
    )
