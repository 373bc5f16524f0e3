"""What Redis does in one step: the Lua scripts of the transport, each a file beside this one.

A file is what Redis is given, whole: nothing is put together here, so that it can be
read, checked and tried by itself. Its head says what it takes and returns.

Nothing is decoded in them: an item is bytes between brackets, so that odd JSON can
break no script. Scores are seconds of the server's own clock, and no two entries
of one step have the same, so that ordering by score is the order of the queue.

Redis at its memory limit refuses what may need memory, unless the script has
written before; each script that needs that begins with a write which frees
memory or does nothing. A script that fails half-way is not undone: whatever may
fail comes before anything is taken away.

Redis 6.2 or later, or Valkey; on a Redis Cluster with all keys of a queue in one slot. A
script touches no keys but those that it is given as such.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final, NamedTuple


class Script(NamedTuple):
    """A script and the name by which Redis remembers it."""

    text: str
    sha: str


def _script(name: str) -> Script:
    text = Path(__file__).with_name(f"{name}.lua").read_text("utf-8")
    return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


FETCH: Final = _script("fetch")
# What FETCH says is left at the broker.
NOTHING, MORE, SUSPECTS = 0, 1, 2

DELAY: Final = _script("delay")
DUE: Final = _script("due")
EXPIRED: Final = _script("expired")
FORMER: Final = _script("former")
LOOK_UP: Final = _script("look_up")
MOVE: Final = _script("move")
NOTE: Final = _script("note")
BIND: Final = _script("bind")
BIND_FOR_A_WHILE: Final = _script("bind_for_a_while")
RENEW: Final = _script("renew")
