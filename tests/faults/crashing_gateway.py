"""A gateway that kills itself at a named step: `python -m tests.faults.crashing_gateway gateway`.

Everything after the module's name is what the command `settle` takes. The steps are
those of `tests.faults.crashing`, as far as a gateway comes by them.
"""

from __future__ import annotations

import gateway.events.settling
from cli.main import main
from tests.faults.crashing import around

STEPS = ("locked", "committed", "published partly", "published")

around(gateway.events.settling, "settle_batch", after="committed")

if __name__ == "__main__":
    main()
