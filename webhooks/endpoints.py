"""Where outcomes are pushed to, whose, and by which secrets: what the file of endpoints says.

Secrets stand in it as they are, for signing needs them; so it is a file of its own that
only `settle webhooks` reads.
"""

from __future__ import annotations

import base64
import binascii
import json
import secrets
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    model_validator,
)

from service.account_scope import AccountScope
from service.toml_file import TomlFile

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SETTING = "SETTLE_WEBHOOKS_FILE"
COMMAND = "settle webhooks new-endpoint"

Format = Literal["outcomes", "cloudevents"]

PREFIX = "whsec_"
# As the standard has it.
FEWEST_BYTES, MOST_BYTES = 24, 64
DRAWN_BYTES = 32


def _check_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna")
        _ = parts.port
    except (ValueError, UnicodeError):
        host = b""
    # Also what urlsplit leaves out before a URL, and in it.
    is_plain = url.isascii() and url.replace(" ", "").isprintable()
    if not host or parts.scheme not in ("https", "http") or not is_plain:
        raise ValueError("must be https://HOST/PATH, in printable ASCII")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must have no user in it: who calls is said by the signature")
    if parts.fragment or any(sign.isspace() for sign in url):
        raise ValueError("must have no space in it, and nothing behind a #")
    return url


def _check_secret(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    try:
        count = len(base64.b64decode(text.removeprefix(PREFIX), validate=True))
    except binascii.Error:
        count = 0
    if not (text.startswith(PREFIX) and FEWEST_BYTES <= count <= MOST_BYTES):
        raise ValueError(f"must be {PREFIX} and 24 to 64 bytes in base64: see {COMMAND}")
    return secret


class Endpoint(BaseModel):
    """What the file says of an endpoint."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern="^[A-Za-z0-9._-]{1,64}$")]
    url: Annotated[str, Field(max_length=2_048), AfterValidator(_check_url)]
    accounts: AccountScope
    # Every request is signed with each: the former one too, while its holder changes it.
    secrets: Annotated[
        list[Annotated[SecretStr, AfterValidator(_check_secret)]],
        Field(min_length=1, max_length=2),
    ]
    format: Format = "outcomes"
    max_outcomes: Annotated[int, Field(ge=1, le=1_000)] = 100

    def takes(self, account_id: str | None) -> bool:
        """Return whether the outcomes of an account are for it; one of none is for all alone."""
        return self.accounts == "all" or account_id in self.accounts


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    endpoint: list[Endpoint] = []

    @model_validator(mode="after")
    def _need_one(self) -> _File:
        # Also while it runs: of a file that is being written, that is the first moment, and what
        # is published in it would be for nobody.
        if not self.endpoint:
            raise ValueError(f"has no endpoints: see {COMMAND}")
        return self

    @model_validator(mode="after")
    def _need_names_of_their_own(self) -> _File:
        names = [endpoint.name for endpoint in self.endpoint]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"two endpoints are called {twice}: give each a name of its own")
        return self


class Endpoints:
    """The endpoints of a file, as they stand in it at any time."""

    def __init__(self, path: Path) -> None:
        """Read them.

        Raises:
            SettingsError: The file cannot be read, or what it says cannot be meant.
        """
        self._file = TomlFile(
            path,
            lambda found: _File.model_validate(found).endpoint,
            setting=SETTING,
            what="endpoints",
            command=COMMAND,
        )
        self._indexed = self._file.entries()
        self._found = _index_of(self._indexed)

    def all(self) -> Sequence[Endpoint]:
        """Return each, in the order of the file."""
        return self._file.entries()

    def find(self, name: str) -> Endpoint | None:
        """Return the endpoint of a name, if there is one."""
        return self._index().by_name.get(name)

    def of_account(self, account_id: str | None) -> Sequence[Endpoint]:
        """Return those that get the outcomes of an account; what is of none, those of all alone."""
        index = self._index()
        found = index.by_account.get(account_id) if account_id is not None else None
        return index.of_all if found is None else found

    def _index(self) -> _Index:
        endpoints = self.all()
        if self._indexed is not endpoints:
            self._indexed, self._found = endpoints, _index_of(endpoints)
        return self._found


class _Index(NamedTuple):
    by_name: dict[str, Endpoint]
    of_all: list[Endpoint]
    by_account: dict[str, list[Endpoint]]


def _index_of(endpoints: Sequence[Endpoint]) -> _Index:
    of_all = [endpoint for endpoint in endpoints if endpoint.accounts == "all"]
    by_account: dict[str, list[Endpoint]] = {}
    for endpoint in endpoints:
        for account in () if endpoint.accounts == "all" else dict.fromkeys(endpoint.accounts):
            by_account.setdefault(account, list(of_all)).append(endpoint)
    return _Index({endpoint.name: endpoint for endpoint in endpoints}, of_all, by_account)


def draw_secret() -> str:
    """Draw a secret at random."""
    return PREFIX + base64.b64encode(secrets.token_bytes(DRAWN_BYTES)).decode()


def as_toml(name: str, url: str, accounts: list[str] | Literal["all"], secret: str) -> str:
    """Write an endpoint as the file has it.

    Raises:
        ValueError: It cannot be meant; pydantic's.
    """
    Endpoint(name=name, url=url, accounts=accounts, secrets=[SecretStr(secret)])
    values = {"name": name, "url": url, "accounts": accounts, "secrets": [secret]}
    # JSON's texts and lists of texts are TOML's too, but for this one control character.
    lines = (
        f"{field} = {json.dumps(value, ensure_ascii=False)}".replace("\x7f", "\\u007f")
        for field, value in values.items()
    )
    return "\n".join(["[[endpoint]]", *lines])
