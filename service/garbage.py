"""How seldom Python looks for cycles.

A batch is some ten thousand objects that live until it is published, and none of
them is in a cycle. With Python's own threshold they are gone through again and
again for nothing.
"""

import gc

# Objects made and not yet gone; those of a few batches.
YOUNGEST = 100_000
OLDER = (20, 100)


def collect_seldom() -> None:
    """Leave what is loaded already out of every collection, and collect less often."""
    gc.freeze()
    gc.set_threshold(YOUNGEST, *OLDER)
