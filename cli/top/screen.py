"""The screen: what matters first, in 80 columns and 24 lines, and more in a larger window.

Colours repeat what words say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from cli.top.number_formats import amount, duration, rate
from service.catalogue import OUTCOMES
from worker.telling.metrics import STEPS, WHYS
from worker.telling.vitals import BROKER, SERVERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console, ConsoleOptions, JustifyMethod, RenderableType

    from cli.top.view import View, WorkerView

READY, NOT_READY, STUCK, NO_ANSWER = "ready", "not ready", "stuck", "no answer"
STYLES = {READY: "green", NOT_READY: "yellow", STUCK: "bold red", NO_ANSWER: "bold red"}
SHORT = {"database": "db", "result_channel": "results", "broker": "broker"}


@dataclass(frozen=True, slots=True)
class Screen:
    """A view, drawn to fit.

    Attributes:
        view: What is drawn.
        address: The broker's, without its password.
        time: Of day.
    """

    view: View
    address: str
    time: str

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        """Draw as many workers as there is room for."""
        yield self._title()
        yield ""
        facts = [*_facts(self.view)]
        yield from facts
        yield ""
        yield _figures(self.view)
        yield ""
        taken = 4 + len(facts) + 2 + len(OUTCOMES)
        room = len(self.view.workers) * 2 if options.height is None else options.height - taken - 1
        yield from _workers(self.view, room)

    def _title(self) -> Table:
        title = Table.grid(expand=True, padding=(0, 2, 0, 0), pad_edge=False)
        title.add_column(no_wrap=True)
        title.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        title.add_column(no_wrap=True, justify="right")
        title.add_row(Text("settle top", "bold"), self.address, self.time)
        return title


def state_of(view: View, worker: WorkerView) -> str:
    """Say in a word or two how a worker is."""
    if not view.answers(worker):
        return NO_ANSWER
    if not worker.answer.number("live"):
        return STUCK
    return READY if worker.answer.number("ready") else NOT_READY


def _facts(view: View) -> Iterator[Text]:
    poll = view.poll
    if poll.broker_away:
        yield _line("broker", f"DOES NOT ANSWER: {poll.broker_away}", "bold red")
    else:
        waiting = f"{amount(poll.waiting)} messages waiting"
        if poll.waiting:
            waiting += f", the oldest for {duration(poll.oldest_age_seconds)}"
        if poll.delayed:
            waiting += f"; {amount(poll.delayed)} delayed"
        yield _line("queue", waiting)
    yield _line("dead letters", f"{amount(poll.dead_letters)} kept")
    if not view.answering:
        yield _line("workers", "NO WORKER ANSWERS", "bold red")
    else:
        yield _line("workers", _of_workers(view))
        updates, messages = view.sum_of("held_updates"), view.sum_of("held_messages")
        yield _line("held", f"{amount(updates)} updates in {amount(messages)} messages")
    size, fetched = view.mean("batch_updates"), view.rate("messages_fetched.")
    yield _line(
        "settled",
        f"{rate(view.rate('updates.'))} updates/s, {amount(size)} a batch; "
        f"{rate(fetched)} messages/s fetched",
    )
    for note in poll.notes:
        yield _line("note", note, "yellow")


def _of_workers(view: View) -> str:
    ready = sum(state_of(view, worker) == READY for worker in view.workers)
    taken, slots = view.sum_of("slots_taken"), view.sum_of("slots")
    return f"{ready} of {len(view.workers)} ready, {taken} of {slots} slots taken"


def _line(name: str, says: str, style: str = "") -> Text:
    return Text.assemble(f"{name:14}", (says, style), no_wrap=True, overflow="ellipsis")


def _figures(view: View) -> Table:
    """Draw what is settled, why batches left, and how long their steps took."""
    table = _grid()
    for name, width in (("outcome", 17), ("/s", -7), ("total", -8)):
        _column(table, name, width)
    for name, width in (("batches", 7), ("/s", -7), ("step", 13), ("mean", -7)):
        _column(table, name, width)
    whys, steps = [*WHYS, "", "", ""], [*STEPS, "", "", "latency"]
    for outcome, why, step in zip((*OUTCOMES, "all"), whys, steps, strict=True):
        name = "latency_seconds" if step == "latency" else f"batch_step_seconds.{step}"
        totals = [view.total(f"updates.{one}") for one in OUTCOMES if outcome in (one, "all")]
        table.add_row(
            outcome,
            rate(view.rate("updates." if outcome == "all" else f"updates.{outcome}")),
            amount(sum(totals)),
            why if outcome != "all" else "all",
            rate(view.rate(f"batches.{why}")) if why or outcome == "all" else "",
            step,
            duration(view.mean(name)) if step else "",
        )
    return table


def _workers(view: View, room: int) -> Iterator[RenderableType]:
    """Draw a row a worker, then why some are not ready; those first if not all can be seen."""
    troubled = [worker for worker in view.workers if state_of(view, worker) != READY]
    shown = list(view.workers)
    if len(shown) + len(troubled) > room:
        shown = [*troubled, *(worker for worker in shown if worker not in troubled)]
        shown = shown[: max(1, room - 1 - min(len(troubled), room // 3))]
    yield _table(view, shown)
    hidden = len(view.workers) - len(shown)
    reasons = [_reason(view, worker) for worker in troubled if view.answers(worker)]
    yield from reasons[: max(0, room - len(shown) - bool(hidden))]
    if hidden:
        yield Text(f"and {hidden} more: make the window higher", "dim")


def _table(view: View, workers: list[WorkerView]) -> Table:
    table = _grid()
    table.expand = True
    table.add_column("worker", no_wrap=True, overflow="ellipsis", ratio=1, min_width=14)
    for name, width in (("state", 9), ("slots", -5), ("held", -7), ("upd/s", -7), ("latency", -7)):
        _column(table, name, width)
    for name, width in (("servers", 10), ("seen", -6)):
        _column(table, name, width)
    for worker in workers:
        table.add_row(*_row(view, worker))
    return table


def _grid() -> Table:
    return Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")


def _column(table: Table, name: str, width: int) -> None:
    """Add a column as wide as it is to be; a negative width aligns it to the right."""
    justify: JustifyMethod = "right" if width < 0 else "left"
    table.add_column(name, no_wrap=True, overflow="ellipsis", width=abs(width), justify=justify)


def _row(view: View, worker: WorkerView) -> Iterator[Text | str]:
    answer, state = worker.answer, state_of(view, worker)
    yield answer.name
    yield Text(state, STYLES[state])
    if state == NO_ANSWER:
        # What it said then says nothing of now.
        yield from "-----"
        yield duration(view.poll.at - worker.seen_at)
        return
    yield f"{amount(answer.number('slots_taken'))}/{amount(answer.number('slots'))}"
    held = [answer.number("held_updates", where) or 0 for where in ("waiting", "slots")]
    yield amount(sum(held))
    yield rate(worker.rate("updates."))
    yield duration(worker.mean("latency_seconds"))
    away = [SHORT[one] for one in (*SERVERS, *BROKER) if not answer.number("server_up", one)]
    yield Text("no " + ", ".join(away), "yellow") if away else "all up"
    yield "now"


def _reason(view: View, worker: WorkerView) -> Text:
    why = "live_why" if state_of(view, worker) == STUCK else "ready_why"
    says = f"{worker.answer.name}: {worker.answer.stats.get(why)}"
    return Text(says, no_wrap=True, overflow="ellipsis")
