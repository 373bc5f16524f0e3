"""How a core that does no I/O is driven by a face that does.

A core is a generator: it yields what is to be done, is sent what came of it, and has
errors thrown in as if it had done it itself. The two faces, sync and asyncio, do what
is asked for and decide nothing. Knows nothing of what is asked for.
"""

from __future__ import annotations

from contextlib import AsyncExitStack, ExitStack, closing, suppress
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator

Result = TypeVar("Result")
Step = TypeVar("Step")


class Given(NamedTuple):
    """What a core hands to its caller; it is sent whether the caller has left."""

    item: Any


class Pause(NamedTuple):
    """A step: do nothing for so many seconds, then begin with new connections."""

    seconds: float


class Together(NamedTuple):
    """A step: do these at one moment; what one is refused with takes the place of its reply."""

    commands: tuple[tuple[Any, ...], ...]


class Repeat(NamedTuple):
    """A step: do steps again and again beside all others, also while the caller is at work.

    Until the core ends. They are done every so many seconds, and what they raise is
    passed over: there is a next time.
    """

    seconds: float
    make_steps: Callable[[], Generator[Any, Any, None]]


class _Done(NamedTuple):
    """What came of a step."""

    reply: Any
    error: Exception | None = None

    def resume(self, steps: Generator[Step, Any, Any]) -> Step:
        """Let a core know, and return what it asks for next."""
        return steps.send(self.reply) if self.error is None else steps.throw(self.error)


def _do(perform: Callable[[Step], Any], step: Step) -> _Done:
    try:
        return _Done(perform(step))
    except Exception as error:  # noqa: BLE001 - the core's to judge
        return _Done(None, error)


async def _do_async(perform: Callable[[Step], Awaitable[Any]], step: Step) -> _Done:
    try:
        return _Done(await perform(step))
    except Exception as error:  # noqa: BLE001 - the core's to judge
        return _Done(None, error)


def drive(steps: Generator[Step, Any, Result], perform: Callable[[Step], Any]) -> Result:
    """Do what a core asks for until it returns, and return that.

    Whoever is interrupted ends the core here, and so where it may do what it ends with.
    """
    with closing(steps):
        try:
            step = next(steps)
            while True:
                step = _do(perform, step).resume(steps)
        except StopIteration as ended:
            result: Result = ended.value
            return result


async def drive_async(
    steps: Generator[Step, Any, Result], perform: Callable[[Step], Awaitable[Any]]
) -> Result:
    """Do the same, awaiting; to be cancelled is to be interrupted."""
    with closing(steps):
        try:
            step = next(steps)
            while True:
                step = (await _do_async(perform, step)).resume(steps)
        except StopIteration as ended:
            result: Result = ended.value
            return result


def iterate(
    steps: Generator[Any, Any, None],
    perform: Callable[[Any], Any],
    begin: Callable[[Repeat, Callable[[Any], Any]], Callable[[], None]] | None = None,
) -> Generator[Any, None, None]:
    """Yield what a core gives, and do what it asks for, also when the caller has left.

    Args:
        steps: The core.
        perform: Does a step.
        begin: Begins to repeat, and returns what ends that; for a core that asks for it.
    """
    with suppress(StopIteration), closing(steps), ExitStack() as stack:
        step = next(steps)
        while True:
            if isinstance(step, Given):
                done = _Done(False)
                try:
                    yield step.item
                except GeneratorExit:
                    done = _Done(True)
            elif begin is not None and isinstance(step, Repeat):
                stack.callback(begin(step, perform))
                done = _Done(None)
            else:
                done = _do(perform, step)
            step = done.resume(steps)


async def iterate_async(
    steps: Generator[Any, Any, None],
    perform: Callable[[Any], Awaitable[Any]],
    begin: Callable[[Repeat, Callable[[Any], Awaitable[Any]]], Callable[[], Awaitable[None]]]
    | None = None,
) -> AsyncGenerator[Any, None]:
    """Do the same, awaiting."""
    with suppress(StopIteration), closing(steps):
        async with AsyncExitStack() as stack:
            step = next(steps)
            while True:
                if isinstance(step, Given):
                    done = _Done(False)
                    try:
                        yield step.item
                    except GeneratorExit:
                        done = _Done(True)
                elif begin is not None and isinstance(step, Repeat):
                    stack.push_async_callback(begin(step, perform))
                    done = _Done(None)
                else:
                    done = await _do_async(perform, step)
                step = done.resume(steps)
