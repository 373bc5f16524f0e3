"""Every name the outside world knows, in one place."""

from typing import Final

TASK: Final = "events.update_status"
QUEUE: Final = "event-status-updates"

# On a Redis Cluster all keys of the queue begin with it: what is in the braces, which is the
# same for all of them, says in which slot they are.
CLUSTER_PREFIX: Final = f"{{{QUEUE}}}"

# One name for the Pub/Sub channel and for the stream.
OUTCOMES: Final = "event-outcomes"
DEAD_LETTERS: Final = "event-status-updates.dead"

# Celery says nothing of when it sent a message; with this header workers can tell its age.
SENT_AT: Final = "sent_at"
