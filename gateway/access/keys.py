"""API keys: whose requests are served, whose events they may see, and how often.

The file holds the SHA-256 of each key. That is enough for a key that was drawn at
random and is as long as ours; it would not be for a password. Keys are compared in
constant time, and all of them, so that an answer's time says nothing of them.
"""

from __future__ import annotations

import hmac
import json
import secrets
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from service.account_scope import ALL, AccountScope
from service.toml_file import TomlFile

if TYPE_CHECKING:
    from pathlib import Path

RANDOM_BYTES = 32
# None: as the settings have it.
Rate = Annotated[int, Field(ge=1, le=10**9)] | None
PREFIX = "settle_"


class Key(BaseModel):
    """What the file says of a key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(min_length=1)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    accounts: AccountScope
    requests_per_second: Rate = None
    updates_per_second: Rate = None

    @cached_property
    def account_ids(self) -> frozenset[str] | None:
        """Return its accounts, None for all."""
        return None if self.accounts == "all" else frozenset(self.accounts)


def _check_id(id_: str) -> str:
    if id_ == ALL:
        raise ValueError("must be of one account: for all, set SETTLE_GATEWAY_UPDATES_PER_SECOND")
    return id_


class Account(BaseModel):
    """What the file says of an account, whichever keys it is asked for with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(min_length=1), AfterValidator(_check_id)]
    updates_per_second: Annotated[int, Field(ge=1, le=10**9)]


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    key: list[Key] = []
    account: list[Account] = []

    @cached_property
    def of_accounts(self) -> dict[str, int]:
        return {account.id: account.updates_per_second for account in self.account}

    @model_validator(mode="after")
    def _name_accounts_once(self) -> _File:
        if len(self.of_accounts) < len(self.account):
            raise ValueError("account: each may have one entry")
        return self


class Keys:
    """The keys of a file, as they stand in it at any time."""

    def __init__(self, path: Path) -> None:
        """Read them.

        Raises:
            SettingsError: The file cannot be read, or what it says cannot be meant.
        """
        self._of_accounts: dict[str, int] = {}
        self._file = TomlFile(
            path,
            self._understand,
            setting="SETTLE_GATEWAY_KEYS_FILE",
            what="keys",
            command="settle gateway new-key",
        )

    def find(self, token: str) -> Key | None:
        """Return the key that a client has shown, if it is one."""
        digest = sha256(token.encode()).hexdigest()
        found = None
        for key in self._file.entries():
            if hmac.compare_digest(key.sha256, digest):
                found = key
        return found

    @property
    def of_accounts(self) -> dict[str, int]:
        """Return how many updates a second each account may have, of those that the file names."""
        return self._of_accounts

    def _understand(self, found: dict[str, Any]) -> list[Key]:
        file = _File.model_validate(found)
        self._of_accounts = file.of_accounts
        return file.key


def draw(name: str, accounts: list[str] | Literal["all"]) -> tuple[str, Key]:
    """Draw a key at random; return what its holder sends, and what the file says of it."""
    token = PREFIX + secrets.token_urlsafe(RANDOM_BYTES)
    return token, Key(name=name, sha256=sha256(token.encode()).hexdigest(), accounts=accounts)


def as_toml(key: Key) -> str:
    """Write a key as the file has it."""
    # JSON's texts and lists of texts are TOML's too, but for this one control character.
    texts = {
        name: json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        for name, value in key.model_dump(exclude_none=True).items()
    }
    return "\n".join(["[[key]]", *(f"{name} = {text}" for name, text in texts.items())])
