"""How Celery and kombu ask sentinels: by redis-py's options, which others may look at.

`celery inspect stats`, `inspect conf` and `celery report` show the options of a transport. So what
is secret among them is in an object that shows nothing. Everybody else has it in the URL
(`service.addresses.name_primary`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from redis.credentials import CredentialProvider

from service.reaching import TIMEOUT_SECONDS

if TYPE_CHECKING:
    from service.settings import Settings


class Login(CredentialProvider):
    """A user and a password, or a password alone, for redis-py and nobody else."""

    def __init__(self, username: str, password: str) -> None:
        """Keep them."""
        self._known = (username, password) if username else (password,)

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        """Return them, as redis-py wants it."""
        return self._known

    async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
        """Return them, as redis-py wants it of who is awaited."""
        return self._known

    def __repr__(self) -> str:
        """Show nothing."""
        return "***"

    def __json__(self) -> str:
        """Show nothing where kombu sends the options of a connection."""
        return repr(self)


def sentinel_options(settings: Settings) -> dict[str, Any]:
    """Return redis-py's options of connections to sentinels, which answer at once or never."""
    patience = dict.fromkeys(("socket_timeout", "socket_connect_timeout"), TIMEOUT_SECONDS)
    login = settings.sentinel_login
    if not login:
        return {**patience}
    return {**patience, "credential_provider": Login(login.get("username", ""), login["password"])}
