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
    check: Callable[[], object] = bool,
) -> tuple[list[Result], list[tuple[Item, Exception]]]:
    """Do something with all items at once, and by halves where that fails.

    Args:
        items: In order. Without any nothing is attempted.
        attempt: Does it. What it did before it failed must not matter when it is repeated.
        passing: What is nobody's fault, and ends it.
        check: Called before the first halving; raises if something else is at fault.

    Returns:
        What the attempts gave that worked, and the items that failed alone, each with
        its error and in order. Each item is in one of both.

    Raises:
        Exception: One of `passing`, or of what `check` raises.
    """
    worked, failed = _halve(items, attempt, passing, check)
    if worked and failed:
        # Whatever was wrong with all of them may have been mended in the middle of it.
        again, failed = _halve([item for item, _ in failed], attempt, passing, bool)
        worked += again
    return worked, failed


def _halve(
    items: Sequence[Item],
    attempt: Callable[[Sequence[Item]], Result],
    passing: tuple[type[Exception], ...],
    check: Callable[[], object],
) -> tuple[list[Result], list[tuple[Item, Exception]]]:
    if not items:
        return [], []
    try:
        return [attempt(items)], []
    except passing:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, it is to harm one item only
        check()
        if len(items) == 1:
            return [], [(items[0], error)]
        forget_frames(error)
    middle = len(items) // 2
    first, those = _halve(items[:middle], attempt, passing, bool)
    others, these = _halve(items[middle:], attempt, passing, bool)
    return [*first, *others], [*those, *these]


def forget_frames(error: BaseException | None) -> None:
    """Forget where an error was raised: its frames hold what they worked on, and it.

    There may be twice as many errors as items, and cycles are seldom looked for.
    """
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__
