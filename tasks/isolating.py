"""What does it, found: something that fails for many is tried with fewer, until one stands alone.

The one mechanism for whatever can fail for the sake of one update or one message. It knows
neither, and does not decide what becomes of what it finds; nor whether all of it failed
because of something else, which only the caller can tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Item = TypeVar("Item")
Result = TypeVar("Result")


def isolate(
    items: Sequence[Item],
    attempt: Callable[[Sequence[Item]], Result],
    *,
    passing: tuple[type[Exception], ...],
) -> tuple[list[Result], list[tuple[Item, Exception]]]:
    """Do something with all items at once, and by halves where that fails.

    Args:
        items: In order; each is in one attempt that works, or fails alone. Without any
            nothing is attempted.
        attempt: Does it. What it did before it failed must not matter when it is repeated.
        passing: What is nobody's fault, and ends it.

    Returns:
        What the attempts gave that worked, and the items that failed alone, each in order.

    Raises:
        Exception: One of `passing`.
    """
    if not items:
        return [], []
    try:
        return [attempt(items)], []
    except passing:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, it is to harm one item only
        if len(items) == 1:
            return [], [(items[0], error)]
    middle = len(items) // 2
    first, failed = isolate(items[:middle], attempt, passing=passing)
    others, also_failed = isolate(items[middle:], attempt, passing=passing)
    return [*first, *others], [*failed, *also_failed]
