"""The gateway with a transaction for each request: `python -m bench.peers.unshared_gateway`.

To measure what is gained where requests that come together share one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from worker.batching import Batcher
from worker.cli import main
from worker.gateway import settling

if TYPE_CHECKING:
    from worker.batching import Batch


class OneByOne(Batcher[Any]):
    """Lets each request leave by itself."""

    def take(self, now: float, **options: Any) -> Batch[Any] | None:
        """Take the next one."""
        return super().take(now, **{**options, "max_items": 1})


if __name__ == "__main__":
    settling.Batcher = OneByOne  # type: ignore[attr-defined]
    # As many at once as there are slots.
    settling.Settler._may_leave = lambda self: bool(self._free)  # type: ignore[method-assign]  # noqa: SLF001
    main(["gateway"])
