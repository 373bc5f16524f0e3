"""What the page shows, read from the servers once: a reading.

Whatever is away, a reading is made, and says so. It is made in one thread, and is bounded
however much there is.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from cli.doctor.examination import say
from cli.page.letters import describe
from cli.top.asking import Asker
from cli.top.json_view import to_json
from cli.top.view import FORGOTTEN_AFTER_SECONDS, advance
from service.addresses import hide_password
from service.backlog import groups_standing, result_channel_of
from tasks.latest_letters import LatestLetters
from worker.batching.breaker import WAY_OUT

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli.top.view import View
    from service.settings import Settings


class Reading(NamedTuple):
    """As JSON, for a browser.

    Attributes:
        service: What `settle top` shows, and the consumer groups.
        letters: The dead letters.
    """

    service: str
    letters: str


class Reader:
    """Makes readings, each with rates since the one before."""

    def __init__(self, settings: Settings, app: Any) -> None:
        """Connect to nothing yet."""
        self._address = hide_password(settings.broker_url)
        self._asker = Asker(settings, app)
        self._channel = result_channel_of(settings)
        self._latest = LatestLetters()
        self._view: View | None = None

    def read(self) -> Reading:
        """Ask them all."""
        poll = self._asker.poll()
        if self._view is not None and poll.at - self._view.poll.at > FORGOTTEN_AFTER_SECONDS:
            # Nobody has watched meanwhile: no rate is of now.
            self._view = None
        self._view = advance(self._view, poll)
        notes, groups = [*poll.notes], None
        if poll.dead_letters is not None:
            groups = self._ask("the consumer groups", _groups, notes)
            self._ask("the dead letters", lambda server: self._latest.look(server.letters), notes)
        service = to_json(self._view) | {
            "address": self._address,
            "brokerAway": poll.broker_away,
            "notes": notes,
            "wayOut": WAY_OUT,
            "groups": groups,
        }
        return Reading(json.dumps(service), json.dumps(describe(self._latest)))

    def close(self) -> None:
        """Close every connection."""
        self._asker.close()
        self._channel.close()

    def _ask(self, what: str, question: Callable[[Any], Any], notes: list[str]) -> Any:
        try:
            return self._channel.ask(question)
        except Exception as error:  # noqa: BLE001 - of whatever library reaches it
            self._channel.close()
            notes.append(f"{what} could not be asked: {say(error)}")
            return None


def _groups(server: Any) -> list[dict[str, Any]]:
    return [{"name": name, **one._asdict()} for name, one in groups_standing(server).items()]
