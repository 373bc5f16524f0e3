"""A gateway that waits for nobody long: `python -m tests.faults.impatient_gateway gateway`.

Everything after the module's name is what the command `settle` takes. Nobody would
turn these times, so they are no settings; a test has no half a minute.
"""

from __future__ import annotations

from cli.main import main
from gateway.outcomes import operation as outcomes
from gateway.serving import connection, server

WAIT_SECONDS = 2.0

connection.RECEIVE_SECONDS = connection.SEND_SECONDS = WAIT_SECONDS
server.KEEP_ALIVE_SECONDS = int(WAIT_SECONDS)
outcomes.HEARTBEAT_SECONDS = 0.1

if __name__ == "__main__":
    main()
