"""The gateway with a transaction for each request: `python -m bench.peers.unshared_gateway`.

To measure what is gained where requests that come together share one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cli.main import main
from gateway.events import settling

if TYPE_CHECKING:
    from service.batching import Batch


class OneRequestBatcher(settling.AccountsBatcher):
    """Lets each request leave by itself, as many at once as there are slots."""

    def may_leave(self, share: int) -> bool:
        """Return whether there is one."""
        return len(self) > 0

    def take(self, now: float, **options: Any) -> Batch[settling.Asked] | None:
        """Take the next one."""
        return super().take(now, **{**options, "max_items": 1})


if __name__ == "__main__":
    settling.AccountsBatcher = OneRequestBatcher  # type: ignore[misc]
    main(["gateway"])
