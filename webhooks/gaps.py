"""What was trimmed from the stream before it was read: counted, and said."""

from __future__ import annotations

import logging

from webhooks import metrics
from webhooks.names import GROUP

logger = logging.getLogger(__name__)


def say_gone(count: int | None) -> None:
    """Say how many outcomes nobody will be sent; None where Redis does not count them."""
    if count == 0:
        return
    metrics.GONE.inc(count or 1)
    logger.error(
        "outcomes were trimmed before they were read",
        extra={
            "outcomes": "unknown" if count is None else count,
            "fix": f"SETTLE_OUTCOME_KEEP_FOR_GROUPS={GROUP} lets settlement wait for them",
        },
    )
