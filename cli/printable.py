"""Text of messages as it is shown on a terminal.

Whoever may send an update may put into its id what moves a cursor, clears a screen or begins a
line that looks like one of ours. What is printed for programs, as JSON, is escaped by that.
"""

from __future__ import annotations


def printable(text: str) -> str:
    """Return a text in one line, with what no terminal is to act upon written as an escape."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else _escape(one) for one in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()
