"""API keys: whose requests are served, and whose events they may see.

The file holds the SHA-256 of each key. That is enough for a key that was drawn at
random and is as long as ours; it would not be for a password. Keys are compared in
constant time, and all of them, so that an answer's time says nothing of them.
"""

from __future__ import annotations

import hmac
import json
import logging
import re
import secrets
import tomllib
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from service.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

logger = logging.getLogger(__name__)

RANDOM_BYTES = 32
PREFIX = "settle_"


def _accounts(value: object) -> object:
    if value == "all" or (
        isinstance(value, list) and value and all(each and isinstance(each, str) for each in value)
    ):
        return value
    raise ValueError('must be a list of account ids, or "all"')


class Key(BaseModel):
    """What the file says of a key."""

    model_config = ConfigDict(frozen=True)

    name: Annotated[str, Field(min_length=1)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    accounts: Annotated[list[str] | Literal["all"], BeforeValidator(_accounts)]

    @cached_property
    def account_ids(self) -> frozenset[str] | None:
        """Return its accounts, None for all."""
        return None if self.accounts == "all" else frozenset(self.accounts)


class _File(BaseModel):
    model_config = ConfigDict(frozen=True)

    key: list[Key] = []


class Keys:
    """The keys of a file, as they stand in it at any time."""

    def __init__(self, path: Path) -> None:
        """Read them.

        Raises:
            SettingsError: The file cannot be read, or what it says cannot be meant.
        """
        self._path = path
        self._seen = self._said = _version(path)
        self._keys = _read(path)
        if not self._keys:
            raise SettingsError(
                f"SETTLE_GATEWAY_KEYS_FILE: {path} has no keys: see settle gateway new-key"
            )

    def find(self, token: str) -> Key | None:
        """Return the key that a client has shown, if it is one."""
        self._read_again_if_changed()
        digest = sha256(token.encode()).hexdigest()
        found = None
        for key in self._keys:
            if hmac.compare_digest(key.sha256, digest):
                found = key
        return found

    def _read_again_if_changed(self) -> None:
        version = _version(self._path)
        if version != self._seen:
            self._read_again(version)
        self._said = version

    def _read_again(self, version: tuple[int, ...] | None) -> None:
        try:
            self._keys = _read(self._path)
        except SettingsError as error:
            # Tried with every request, and said once: what is wrong may be mended without
            # a change of the file, as when it may be read at last.
            if version != self._said:
                logger.error("keys not read again", extra={"error": str(error)})  # noqa: TRY400
        else:
            self._seen = version
            logger.info("keys read again", extra={"keys": len(self._keys)})


def _version(path: Path) -> tuple[int, ...] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    # With the size, for a file that is written in two steps may have one time for both.
    return status.st_mtime_ns, status.st_ino, status.st_size


def _read(path: Path) -> list[Key]:
    try:
        return _File.model_validate(tomllib.loads(path.read_text("utf-8"))).key
    except FileNotFoundError:
        reason = f"{path} is not there: see settle gateway new-key"
    except OSError as error:
        reason = f"{path}: {error.strerror or error}"
    except tomllib.TOMLDecodeError as error:
        # Where it goes wrong, and not what stands there, for it may be a key.
        place = re.search(r"at (line \d+, column \d+|end of document)", str(error))
        reason = f"{path} is not TOML: see {place[1] if place else 'it'}"
    except UnicodeDecodeError:
        reason = f"{path} is not UTF-8"
    except ValidationError as error:
        reason = f"{path}: {_explain(error)}"
    raise SettingsError(f"SETTLE_GATEWAY_KEYS_FILE: {reason}")


def _explain(error: ValidationError) -> str:
    """Say which entries are wrong and why, and never what they say, for it may be a key."""
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{_path(problem['loc'])}: {_words(problem)}" for problem in problems)


def _words(problem: Any) -> str:
    if problem["type"] == "missing":
        return "is required"
    text: str = problem["msg"].removeprefix("Value error, ")
    return text.replace("Input should be", "must be").replace("String should", "must")


def _path(location: Sequence[int | str]) -> str:
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return "".join(parts).removeprefix(".") or "the file"


def draw(name: str, accounts: list[str] | Literal["all"]) -> tuple[str, Key]:
    """Draw a key at random; return what its holder sends, and what the file says of it."""
    token = PREFIX + secrets.token_urlsafe(RANDOM_BYTES)
    return token, Key(name=name, sha256=sha256(token.encode()).hexdigest(), accounts=accounts)


def as_toml(key: Key) -> str:
    """Write a key as the file has it."""
    # JSON's texts and lists of texts are TOML's too, but for this one control character.
    texts = {
        name: json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        for name, value in key.model_dump().items()
    }
    return "\n".join(["[[key]]", *(f"{name} = {text}" for name, text in texts.items())])
