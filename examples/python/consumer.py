"""A durable consumer: each outcome goes to one member of the group, however many of them die.

pip install settle-client; OUTCOME_URL=redis://localhost:6379/0 python consumer.py
"""

import os
import socket

from settle_client import OutcomeClient

with OutcomeClient(os.environ["OUTCOME_URL"]) as client:
    for outcome in client.follow("billing", os.environ.get("NAME", socket.gethostname())):
        # It is acknowledged when the next is asked for, so it may come twice: the message id
        # and the index tell.
        if outcome.updated:
            print(f"bill {outcome.id}, of message {outcome.message_id}", flush=True)
