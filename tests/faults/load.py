"""A continuous load, and the accounting that every fault ends with."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from amqp.exceptions import AMQPError
from kombu.exceptions import OperationalError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tests.service import Service


class Account(NamedTuple):
    """What became of everything that was sent.

    Attributes:
        messages: How many were sent, each at least once.
        lost: Updates that have no outcome, and messages of others that have none.
        wrong: Updates that were told something untrue, or different things; and
            settled events of which nobody, or more than one message, was told
            that it settled them.
        examples: A few of them, for people.
    """

    messages: int
    lost: int
    wrong: int
    examples: list[str]


class Load(threading.Thread):
    """A producer that goes on sending until told to stop, whatever happens to the broker.

    One message in ten carries ten updates, one update in five contradicts an
    earlier one or repeats it, as all do when no event is left that was not sent,
    and one message in twenty is sent twice under its id. A message counts as sent
    once the broker has said so.
    """

    def __init__(self, service: Service, events: int, per_second: int) -> None:
        super().__init__(daemon=True)
        self.service, self.per_second = service, per_second
        self.unsent = [f"ev_{number:06}" for number in range(events)]
        service.load(*self.unsent)
        self.touched: list[str] = []
        self.random = random.Random(7)
        self.sent: dict[str, dict[str, str]] = {}
        # Ids of messages that others send, each of which must be answered too.
        self.of_others: set[str] = set()
        self.wants_results = False
        # Where outcomes are read, if not in the stream.
        self.read_outcomes: Callable[[], Iterable[Any]] = self._outcomes_in_stream
        self.stopping = threading.Event()

    def run(self) -> None:
        """Send."""
        due = time.monotonic()
        while not self.stopping.is_set():
            message_id = f"m{len(self.sent):06}"
            updates = self._updates(10 if self._now_and_then(10) else 1)
            for _ in range(2 if self._now_and_then(20) else 1):
                if not self._send(message_id, updates):
                    return
            self.sent[message_id] = updates
            # A broker that was away is not made up for by a burst.
            due = max(due + 1 / self.per_second, time.monotonic() - 1)
            time.sleep(max(0.0, due - time.monotonic()))

    def _now_and_then(self, times: int) -> bool:
        return self.random.randrange(times) == 0

    def _updates(self, count: int) -> dict[str, str]:
        """Return some updates, status by event id."""
        updates = {}
        for _ in range(count):
            again = self.touched and (not self.unsent or self._now_and_then(5))
            id_ = self.random.choice(self.touched) if again else self.unsent.pop()
            updates[id_] = self.random.choice(["completed", "failed"])
            self.touched.append(id_)
        return updates

    def _send(self, message_id: str, updates: dict[str, str]) -> bool:
        fields = [{"id": id_, "status": status} for id_, status in updates.items()]
        form = {"kwargs": fields[0]} if len(fields) == 1 else {"args": [fields]}
        while not self.stopping.is_set():
            try:
                self.service.send(**form, task_id=message_id, ignore_result=not self.wants_results)
            except (OperationalError, AMQPError, OSError, AttributeError):
                # kombu passes on what a node says that goes down in order, and stumbles once over a
                # channel that it has closed as a full Redis refused something.
                time.sleep(0.05)
            else:
                return True
        return False

    def stop(self) -> None:
        """Stop sending."""
        self.stopping.set()
        self.join()

    def outcomes_by_update(self) -> dict[tuple[str, str], list[Any]]:
        """Return the outcomes that were published, by message id and event id."""
        by_update: defaultdict[tuple[str, str], list[Any]] = defaultdict(list)
        for outcome in self.read_outcomes():
            by_update[outcome["messageId"], outcome["id"]].append(outcome)
        return by_update

    def _outcomes_in_stream(self) -> Iterator[Any]:
        for _, fields in self.service.channel.xrange("event-outcomes"):
            yield json.loads(fields["outcome"])

    def account(self) -> Account:
        """Compare what was sent, what was told and what is in the table."""
        by_update = self.outcomes_by_update()
        sent = {
            (message_id, id_): status
            for message_id, updates in self.sent.items()
            for id_, status in updates.items()
        }
        unanswered = self.of_others - {message_id for message_id, _ in by_update}
        lost = sent.keys() - by_update.keys() | {(message_id, "") for message_id in unanswered}
        rows = self.service.database.read_events(list({id_ for _, id_ in sent}))
        wrong = [
            f"{outcomes} but the row is {rows[key[1]]}"
            for key, status in sent.items()
            if (outcomes := by_update.get(key))
            and not _true(key[0], status, outcomes, rows[key[1]])
        ]
        winners = Counter(id_ for (_, id_), outcomes in by_update.items() if outcomes[0]["updated"])
        wrong += [
            f"{winners[id_]} messages were told that they settled {id_}"
            for id_, row in rows.items()
            if winners[id_] != (row.status is not None)
        ]
        examples = [f"no outcome for {key}" for key in sorted(lost)][:3] + wrong[:3]
        return Account(len(self.sent) + len(self.of_others), len(lost), len(wrong), examples)


def _true(message_id: str, status: str, outcomes: list[Any], row: Any) -> bool:
    first, *repeats = outcomes
    if any(repeat != first for repeat in repeats):
        return False
    if first["updated"]:
        return bool((row.settled_by, row.status) == (message_id, status))
    return bool(first["reason"] == f"already_{row.status}")
