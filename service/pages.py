"""Where the docs say more: a section for each verdict of the doctor, and for some of its fixes.

The one place that knows, so that pages can be moved; a test looks whether each section is there.
"""

from __future__ import annotations

from typing import Final

DOCTOR: Final = "docs/operations.md#the-doctor"
PROCESSES: Final = "docs/operations.md#processes"
STOPPING: Final = "docs/operations.md#stopping"
POSTGRESQL: Final = "docs/postgresql.md#postgresql"
GRANTS_PAGE: Final = "docs/privileges.md#postgresql"
TRIGGERS_PAGE: Final = "docs/scaling.md#moving-the-table"
REDIS: Final = "docs/redis.md#redis-or-valkey"
REDIS_USERS: Final = "docs/privileges.md#redis"
REDIS_FULL: Final = "docs/trouble.md#redis-is-full"
RABBITMQ_QUEUE: Final = "docs/rabbitmq.md#what-is-set-and-what-the-doctor-says"
BACKLOG: Final = "docs/trouble.md#the-queue-grows"
CONSUMERS: Final = "docs/trouble.md#a-consumer-is-behind"
SETTINGS: Final = "docs/configuration.md#configuration"

# By what is examined and the check; '' for its other checks.
_SECTIONS: Final[dict[str, dict[str, str]]] = {
    "redis": {"": REDIS, "memory": REDIS_FULL, "rights": REDIS_USERS, "backlog": BACKLOG},
    "rabbitmq": {
        "": "docs/rabbitmq.md#rabbitmq",
        "queue": RABBITMQ_QUEUE,
        "alarm": "docs/trouble.md#rabbitmq-has-an-alarm",
        "backlog": BACKLOG,
    },
    "management": {"": RABBITMQ_QUEUE},
    "result channel": {
        "": REDIS,
        "memory": REDIS_FULL,
        "publishing": REDIS_USERS,
        "replicas": "docs/redis.md#failover",
        "room": CONSUMERS,
        "consumer groups": CONSUMERS,
        "dead letters": "docs/trouble.md#there-are-dead-letters",
    },
    "result backend": {"": REDIS, "storing": REDIS_USERS},
    "database": {
        "": POSTGRESQL,
        "server": "docs/postgresql.md#failover",
        "standby": "docs/postgresql.md#synchronous-standbys",
        "commits": "docs/postgresql.md#synchronous-standbys",
        "migration": "docs/upgrades.md#migrations-while-workers-run",
        "table": "docs/postgresql.md#the-table",
        "privileges": GRANTS_PAGE,
        "hot updates": "docs/scaling.md#fill-factor",
        "lists": "docs/postgresql.md#the-table",
        "sessions": "docs/postgresql.md#pgbouncer",
    },
    "replica": {"": "docs/gateway.md#lists-from-a-replica", "privileges": GRANTS_PAGE},
    "gateway": {"": "docs/gateway.md#keys"},
    "webhooks": {"": "docs/webhooks.md#endpoints"},
    "workers": {"": "docs/trouble.md#a-worker-waits", "names": PROCESSES},
    "settings": {
        "": SETTINGS,
        "lease": REDIS,
        "leases of others": REDIS,
        "stop": STOPPING,
        "pool": PROCESSES,
    },
}


def section(subject: str, check: str) -> str:
    """Return the page and the section that a verdict is explained in.

    Args:
        subject: What is examined.
        check: What of it.
    """
    sections = _SECTIONS.get(subject, {"": DOCTOR})
    return sections.get(check, sections[""])
