"""How far it is, on stderr: a line that moves on a terminal, now and then one elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from collections.abc import Callable

LINE_SECONDS = 10.0


class Meter:
    """Says how much is done, while a `with` block lasts."""

    def __init__(
        self,
        doing: str,
        noun: str,
        total: int | None = None,
        *,
        is_quiet: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Say nothing yet.

        Args:
            doing: Such as `Sending`.
            noun: What is counted.
            total: How many there will be, None where that is not known.
            is_quiet: Whether nothing is to be said after all.
            clock: In seconds.
        """
        self._is_quiet = is_quiet
        self._doing, self._noun, self._total, self._clock = doing, noun, total, clock
        console = Console(stderr=True)
        self._is_moving = not (is_quiet or console.is_dumb_terminal) and console.is_terminal
        columns = (TextColumn(doing), BarColumn(), TextColumn("{task.fields[text]}"))
        self._bar = Progress(
            *columns,
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not self._is_moving,
        )
        self._task = self._bar.add_task("", total=total, text=self._say(0))
        self._said_at = clock()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def update(self, count: int) -> None:
        """Say it, if it is time."""
        if self._is_moving:
            self._bar.update(self._task, completed=count, text=self._say(count))
        elif not self._is_quiet and self._clock() - self._said_at >= LINE_SECONDS:
            self._said_at = self._clock()
            click.echo(f"{self._doing}: {self._say(count)} so far", err=True)

    def _say(self, count: int) -> str:
        of = "" if self._total is None else f" of {self._total:,}"
        return f"{count:,}{of} {self._noun}"
