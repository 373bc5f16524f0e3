"""The few headers that are needed, read from encoded properties at the price of a comparison.

Messages of one sender differ in their ids and little else: their properties have the same
names, kinds and lengths at the same places. That is a shape. It is found out by walking
through one message (AMQP 0-9-1, 4.2.5 and 4.2.6); the next one whose other bytes are the
same, so whose walk would be the same, is cut apart at the same places. Pure.
"""

from __future__ import annotations

from collections import defaultdict
from struct import Struct
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
from msgspec import Raw

from worker.transport.rabbitmq.properties import read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from worker.transport.delivery import Headers

# Of the flags that say which properties there are, the first; the last says that more follow.
CONTENT_TYPE, CONTENT_ENCODING, HEADERS = 1 << 15, 1 << 14, 1 << 13
MORE_FLAGS = 1
# What follows the headers, by its flag: an octet, a text after its length, or eight octets.
OCTETS = (1 << 12, 1 << 11)
TIMESTAMP = 1 << 6
# How long values of a table are that have one length.
SIZES: Final = {
    kind: size
    for kinds, size in ((b"V", 0), (b"tbB", 1), (b"sUu", 2), (b"Iif", 4), (b"D", 5), (b"LldT", 8))
    for kind in kinds
}
MEASURED: Final = frozenset(b"SxFA")
TEXT, LONG, OCTET = b"SlB"
# Any value of these kinds is as good as another, unless it is a header that decides.
VARYING: Final = frozenset(b"SIlLd")
# Senders' names and the like come in some lengths each.
MOST_OF_A_LENGTH, MOST_LENGTHS = 8, 256


class NoShapeError(ValueError):
    """The properties are not those of a plain message, or odd."""


class Value(NamedTuple):
    """A value of the headers: what it is called, of which kind, and where it is."""

    name: bytes
    kind: int
    start: int
    end: int


class Shape:
    """What properties have in common that can be cut apart alike."""

    def __init__(self, properties: bytes, kind: type[Headers]) -> None:
        """Find it out from one message's.

        Args:
            properties: As they are encoded.
            kind: What to read of them.

        Raises:
            NoShapeError: They are not what a stock client sends.
        """
        known, _ = read(properties, 0)
        if (known.get("content_type"), known.get("content_encoding")) != (
            "application/json",
            "utf-8",
        ):
            raise NoShapeError("not JSON")
        headers = known.get("application_headers") or {}
        values, others = _walk(properties)
        if [value.name.decode() for value in values] != list(headers):
            raise NoShapeError("names twice, or read otherwise")
        self._kind = kind
        fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
        self._read = [_value_of(field, headers) for field in fields.values()]
        if not (type(headers.get("task")) is type(headers.get("id")) is str):
            raise NoShapeError("no task, or no id")
        # Where in what is read a piece goes, which piece, and how it is read.
        self._filled_in: list[tuple[int, int, Callable[[bytes], Any]]] = []
        pieces: list[int] = []
        at = 0
        for name, kind_of_value, start, end in (*values, *others):
            field = fields.get(name.decode())
            if kind_of_value not in (VARYING if field is None else {TEXT}):
                continue
            if field is not None:
                read_value = _shown_text if field.type is Raw else bytes.decode
                place = list(fields).index(field.encode_name)
                self._filled_in.append((place, len(pieces) + 1, read_value))
            pieces += [start - at, end - start]
            at = end
        pieces.append(len(properties) - at)
        self._cut = Struct("".join(f"{size}s" for size in pieces)).unpack
        self._same = self._cut(properties)[::2]

    def match(self, properties: bytes) -> Headers | None:
        """Read properties of the same length, None if they are of another shape."""
        pieces = self._cut(properties)
        if pieces[::2] != self._same:
            return None
        values = self._read.copy()
        for field, piece, read_value in self._filled_in:
            values[field] = read_value(pieces[piece])
        return self._kind(*values)


class Shapes:
    """The shapes that were met lately."""

    def __init__(self, kind: type[Headers]) -> None:
        """Know none yet.

        Args:
            kind: What to read of properties.
        """
        self._kind = kind
        self._by_length: defaultdict[int, list[Shape]] = defaultdict(list)

    def read(self, properties: bytes) -> Headers:
        """Return the headers that are needed of a message.

        Raises:
            ValueError: It is not what a stock client sends.
        """
        alike = self._by_length[len(properties)]
        for shape in alike:
            found = shape.match(properties)
            if found is not None:
                return found
        try:
            shape = Shape(properties, self._kind)
        except IndexError as error:
            raise NoShapeError("shorter than it says") from error
        if len(self._by_length) > MOST_LENGTHS:
            self._by_length.clear()
            alike = self._by_length[len(properties)]
        alike.insert(0, shape)
        del alike[MOST_OF_A_LENGTH:]
        found = shape.match(properties)
        if found is None:
            raise NoShapeError("read otherwise")
        return found


def _walk(properties: bytes) -> tuple[list[Value], list[Value]]:
    """Return where the values of the headers are, and the texts and numbers that follow them."""
    flags = int.from_bytes(properties[:2])
    if flags & MORE_FLAGS or not flags & HEADERS:
        raise NoShapeError("no headers, or flags that nobody knows")
    at = 2
    for flag in (CONTENT_TYPE, CONTENT_ENCODING):
        if flags & flag:
            at += 1 + properties[at]
    end = at + 4 + int.from_bytes(properties[at : at + 4])
    values = list(_walk_table(properties, at + 4, end))
    others = list(_walk_others(properties, flags, end))
    at = others[-1].end if others else end
    if at != len(properties):
        raise NoShapeError("longer than it says")
    return values, others


def _walk_table(table: bytes, at: int, end: int) -> Iterator[Value]:
    while at < end:
        start = at + 1
        at = start + table[at]
        name, kind, at = table[start:at], table[at], at + 1
        size = SIZES.get(kind)
        if kind in MEASURED:
            size, at = int.from_bytes(table[at : at + 4]), at + 4
        if size is None:
            raise NoShapeError("a kind of value that nobody knows")
        yield Value(name, kind, at, at + size)
        at += size
    if at != end:
        raise NoShapeError("longer than it says")


def _walk_others(properties: bytes, flags: int, at: int) -> Iterator[Value]:
    for flag in (1 << bit for bit in range(12, 1, -1)):
        if not flags & flag:
            continue
        kind, size = (OCTET, 1) if flag in OCTETS else (LONG, 8)
        if flag not in OCTETS and flag != TIMESTAMP:
            kind, size, at = TEXT, properties[at], at + 1
        yield Value(b"", kind, at, at + size)
        at += size


def _value_of(field: Any, headers: dict[str, Any]) -> Any:
    if field.encode_name not in headers:
        return None if field.required else field.default
    value = headers[field.encode_name]
    return Raw(msgspec.json.encode(value)) if field.type is Raw else value


def _shown_text(value: bytes) -> Raw:
    return Raw(msgspec.json.encode(value.decode()))
