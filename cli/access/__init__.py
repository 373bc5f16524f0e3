"""Who may do what in PostgreSQL and Redis: what an administrator enters, and who connects how.

`database.sql`, `roles.sql` and `users.acl` are what docs/privileges.md explains, word for word.
Here passwords are drawn for them, and put into the addresses by which each kind of process
connects. Connects to nothing, and keeps nothing.
"""

from __future__ import annotations

import re
import secrets
from collections import defaultdict
from importlib.resources import files

# As it stands in the texts, and in the documentation.
PASSWORD = "…"  # noqa: S105 - the place of one
NAMED = re.compile(rf"(?:CREATE ROLE|ACL SETUSER) (\S+) .*{PASSWORD}")
TEXTS = ("database.sql", "roles.sql", "users.acl")
# Of each kind of process: its variables, and the role or user that each connects as.
PROCESSES = {
    "owner": {"DATABASE_URL": "settle_owner"},
    "worker": {"CELERY_BROKER_URL": "settle-worker", "DATABASE_URL": "settle_worker"},
    "gateway": {
        "CELERY_BROKER_URL": "settle-producer",
        "SETTLE_OUTCOME_URL": "settle-gateway",
        "DATABASE_URL": "settle_gateway",
    },
    "webhooks": {"SETTLE_OUTCOME_URL": "settle-webhooks"},
    "producer": {"CELERY_BROKER_URL": "settle-producer", "SETTLE_OUTCOME_URL": "settle-consumer"},
    "consumer": {"SETTLE_OUTCOME_URL": "settle-consumer"},
    "operator": {"CELERY_BROKER_URL": "settle-operator"},
    "housekeeper": {"SETTLE_OUTCOME_URL": "settle-housekeeper"},
    "reader": {"DATABASE_URL": "settle_reader"},
}


def text_of(name: str) -> str:
    """Return one of the texts, with no passwords yet."""
    return files(__name__).joinpath(name).read_text("utf-8")


def draw(postgres: str, redis: str) -> dict[str, str]:
    """Return what each file is to say, with new passwords.

    Args:
        postgres: Where PostgreSQL is, `host:port`.
        redis: The same of Redis.
    """
    passwords: defaultdict[str, str] = defaultdict(lambda: secrets.token_hex(16))

    def fill_in(line: str) -> str:
        named = NAMED.match(line)
        return line.replace(PASSWORD, passwords[named[1]]) if named else line

    def address_of(variable: str, who: str) -> str:
        if variable == "DATABASE_URL":
            return f"postgresql://{who}:{passwords[who]}@{postgres}/settle"
        return f"redis://{who}:{passwords[who]}@{redis}/0"

    drawn = {name: "".join(map(fill_in, text_of(name).splitlines(keepends=True))) for name in TEXTS}
    for process, connects in PROCESSES.items():
        lines = [f"{variable}={address_of(variable, who)}\n" for variable, who in connects.items()]
        drawn[f"{process}.env"] = "".join(lines)
    return drawn
