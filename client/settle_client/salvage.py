"""What the result channel carries, read whatever it is: nothing in it stops who reads it.

An outcome whose payload Python cannot hold (a number of thousands of digits, nested a
thousand deep) is an outcome all the same, its payload the text that it is. Anything else
that is no outcome is an `UnreadOutcome`, with what can be known of it. Raises nothing.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET

from settle_client.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

# What a JSON text is made of, as far as it matters where a value ends. A string that does
# not end is one too: otherwise each quote in it would be looked at as the first of another.
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[{}\[\],:]', re.DOTALL)
_OPENING, _CLOSING = "{[", "}]"


class UnreadOutcome(Outcome, frozen=True, kw_only=True):
    """Something in the result channel that is no outcome as this version knows them.

    It is not `updated`, and what could not be read is None. A newer version of Settle
    may have written it, or somebody else.

    Attributes:
        text: What came, as it is; an entry without an outcome as the JSON that it would be.
        why: Why it could not be read.
    """

    text: str
    why: str

    @property
    def identity(self) -> tuple[str | int | None, ...]:
        """Return its message id with the index, or what came, where they are not known."""
        if self.message_id is None or self.index is None:
            return self.message_id, self.text
        return self.message_id, self.index

    def to_json(self) -> bytes:
        """Return what came, as it is."""
        return self.text.encode(errors="replace")

    def to_dict(self) -> dict[str, Any]:
        """Return what is known of it."""
        known = {name: getattr(self, name) for name in Outcome.__struct_fields__}
        return {name: value for name, value in known.items() if value is not UNSET}


def read_outcome(text: Any) -> Outcome:
    """Read an outcome, or whatever came in place of one."""
    if not isinstance(text, str):
        return _unread(json.dumps(text, default=repr), "it has no outcome")
    try:
        return Outcome.from_json(text)
    except (ValueError, RecursionError) as error:
        rest, payload = cut_value(text, "payload")
        try:
            return msgspec.structs.replace(Outcome.from_json(rest), payload=payload)
        except (ValueError, RecursionError):
            return _unread(text, str(error), rest)


def read_entry(fields: Any) -> Outcome:
    """Read an entry of the stream."""
    return read_outcome(fields.get("outcome", fields))


def _unread(text: str, why: str, rest: str = "") -> UnreadOutcome:
    try:
        found = msgspec.json.decode(rest, type=dict[str, Any])
    except (ValueError, RecursionError):
        found = {}
    fields = msgspec.structs.fields(Outcome)
    values = dict.fromkeys(Outcome.__struct_fields__) | {"payload": UNSET, "error": UNSET}
    for field in fields:
        value = found.get(field.encode_name)
        if isinstance(value, str) and not field.name.endswith("_at"):
            values[field.name] = value
    index = found.get("index")
    # True is an int too.
    values["index"] = index if type(index) is int and index >= 0 else None
    return UnreadOutcome(**values | {"updated": False, "error": UNSET}, text=text, why=why)  # type: ignore[arg-type]


def cut_value(text: str, name: str) -> tuple[str, Any]:
    """Take a value out of a JSON object, as text: whatever there is in it, and however deep.

    Returns:
        The object with null in its place, and the value; UNSET if there is none of this name.
    """
    depth, begin, before = 0, 0, ""
    for token in _TOKEN.finditer(text):
        sign = token[0]
        if begin and depth == 1 and sign in ",}":
            return f"{text[:begin]}null{text[token.start() :]}", text[begin : token.start()].strip()
        depth += (sign in _OPENING) - (sign in _CLOSING)
        if depth == 1 and sign == ":" and before == f'"{name}"':
            begin = token.end()
        before = sign
    return text, UNSET


def cut_elements(text: str) -> Iterator[str]:
    """Cut a JSON array into its elements, as texts: whatever there is in them."""
    depth, begin = 0, 0
    for token in _TOKEN.finditer(text):
        sign = token[0]
        if depth == 1 and sign in ",]":
            if element := text[begin : token.start()].strip():
                yield element
            begin = token.end()
        depth += (sign in _OPENING) - (sign in _CLOSING)
        if depth == 1 and not begin:
            begin = token.end()
