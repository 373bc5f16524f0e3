"""The gateway without shares: an account may have all slots, and understand all bodies, at once.

`python -m bench.peers.unfair_gateway`, to measure what shares change for others.
"""

from __future__ import annotations

import sys

from cli.main import main
from gateway import application
from gateway.events import sharing

if __name__ == "__main__":
    sharing.SHARE = sharing.SLOTS
    sharing.SHARED_LATE_SECONDS = sharing.LATE_SECONDS
    application.LARGE_BODY_BYTES = sys.maxsize
    main(["gateway"])
