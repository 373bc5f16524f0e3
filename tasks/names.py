"""Every name the outside world knows, in one place."""

from typing import Final

TASK: Final = "events.update_status"
QUEUE: Final = "event-status-updates"

# One name for the Pub/Sub channel and for the stream.
OUTCOMES: Final = "event-outcomes"
DEAD_LETTERS: Final = "event-status-updates.dead"
