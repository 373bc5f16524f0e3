"""What is stored in Celery's result backend for a message: its outcomes, or that it was dropped.

When and how patiently is `worker.telling.result_store`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from celery import states
from celery.backends.rpc import RPCBackend
from celery.exceptions import TaskRevokedError
from msgspec import Raw

from service.address_checks import RPC_CANNOT_SERVE
from service.addresses import hide_password

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from settle_client.outcome import Outcome

# Of one without its payload, about.
OUTCOME_BYTES = 1_000


class Result(NamedTuple):
    """What is to be stored for one message."""

    message_id: str
    value: Sequence[Outcome] | Exception
    state: str

    @property
    def byte_count(self) -> int:
        """Return how much memory it takes, about."""
        outcomes = () if isinstance(self.value, Exception) else self.value
        return OUTCOME_BYTES + sum(OUTCOME_BYTES + _payload_bytes(one) for one in outcomes)

    def to_store(self) -> tuple[str, Any, str]:
        """Return it as Celery stores it."""
        value: Any = self.value
        if not isinstance(value, Exception):
            value = [outcome.to_dict() for outcome in value]
        return self.message_id, value, self.state


def _payload_bytes(outcome: Outcome) -> int:
    return memoryview(outcome.payload).nbytes if isinstance(outcome.payload, Raw) else 0


def success(message_id: str, outcomes: Sequence[Outcome]) -> Result:
    """Make the result of a message that was answered."""
    return Result(message_id, outcomes, states.SUCCESS)


def revoked(message_id: str, why: str) -> Result:
    """Make the result of a message that was dropped."""
    return Result(message_id, TaskRevokedError(why), states.REVOKED)


def why_unfit(make_backend: Callable[[], Any]) -> str | None:
    """Return why a result backend cannot be used, None if it can."""
    try:
        backend = make_backend()
    except Exception as error:  # noqa: BLE001 - Celery's, or of whatever it imports
        return hide_password(f"{error}".partition("\n")[0]) or type(error).__name__
    return RPC_CANNOT_SERVE if isinstance(backend, RPCBackend) else None
