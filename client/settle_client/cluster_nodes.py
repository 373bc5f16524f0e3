"""What is known of a Redis Cluster's nodes, by all connections of a client: whom to ask first."""

from __future__ import annotations

import hashlib
import threading
from typing import Any

Address = tuple[str, int]


class Nodes:
    """The nodes that are known, by any thread: those of the URL, and whom they named last."""

    def __init__(self, seeds: list[Address]) -> None:
        self._seeds = seeds
        self._known = list(seeds)
        self._lock = threading.Lock()
        # What was loaded, by name: a node that takes the slot over has none of it.
        self.scripts: dict[Any, Any] = {}

    def in_turn(self) -> list[Address]:
        """Return them in the order in which to ask."""
        with self._lock:
            return list(self._known)

    def put_last(self, node: Address) -> None:
        """Ask the others first."""
        with self._lock:
            self._known.sort(key=lambda known: known == node)

    def learn(self, slots: Any, slot: int, asked: Address) -> Address | None:
        """Note whom a node named in CLUSTER SLOTS, and return who holds a slot, if anybody does."""
        # Without a host it is the one that was asked, as behind an address that moves.
        ranges = [
            (first, last, [(_text(host) or asked[0], int(port)) for host, port, *_ in nodes])
            for first, last, *nodes in slots
        ]
        named = dict.fromkeys(node for _, _, nodes in ranges for node in nodes)
        with self._lock:
            order = [node for node in self._known if node in named]
            self._known = list(dict.fromkeys([*order, *named, *self._seeds]))
        return next((nodes[0] for first, last, nodes in ranges if first <= slot <= last), None)


def _text(host: Any) -> str:
    text = host.decode() if isinstance(host, bytes) else host or ""
    return "" if text == "?" else str(text)


def script_name(text: Any) -> str:
    """Return by what name Redis knows a script."""
    data = text.encode() if isinstance(text, str) else text
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()
