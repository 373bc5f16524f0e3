"""The latest dead letters, for whoever watches: looked at again and again, and cheap each time.

What is new is read, without what is in it, and everything else is known already. Only if
letters went meanwhile are the latest read again. However many are kept, and however
large they are, a look is bounded. Changes nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from settle_client.names import DEAD_LETTERS
from tasks.dead_letters import KeptLetter, letter_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import redis

LATEST = 1_000
# A call keeps the server from others for about a millisecond, and as long as one large letter.
LETTERS_PER_CALL, BYTES_PER_CALL = 100, 2**20
DESCRIBE_LETTERS = Path(__file__).with_name("describe_letters.lua").read_text("utf-8")


class LatestLetters:
    """As they were when last looked at.

    Attributes:
        kept: How many letters there are in all.
        letters: The latest of them, the newest first, with nothing in `raw` and `delivery`.
    """

    def __init__(self) -> None:
        self.kept = 0
        self.letters: Sequence[KeptLetter] = ()

    def look(self, client: redis.Redis) -> None:
        """Look again.

        Args:
            client: Of the Redis of the result channel; it decodes responses.

        Raises:
            redis.RedisError: The server is away, or refuses.
        """
        describe: Any = client.register_script(DESCRIBE_LETTERS)
        kept: Any = client.xlen(DEAD_LETTERS)
        new = _read(describe, f"({self.letters[0].entry}") if self.letters else []
        if not self.letters or kept != self.kept + len(new):
            self.letters = _read(describe, "-")
        elif new:
            self.letters = [*new, *self.letters][:LATEST]
        self.kept = kept


def _read(describe: Any, behind: str) -> list[KeptLetter]:
    letters: list[KeptLetter] = []
    upper = "+"
    while len(letters) < LATEST:
        most = min(LETTERS_PER_CALL, LATEST - len(letters))
        found = describe(keys=[DEAD_LETTERS], args=[upper, behind, most, BYTES_PER_CALL])
        if not found:
            break
        letters += [_letter(*one) for one in found]
        upper = f"({letters[-1].entry}"
    return letters


def _letter(entry: str, *fields: str) -> KeptLetter:
    return letter_of(entry, dict(zip(fields[::2], fields[1::2], strict=True)))
