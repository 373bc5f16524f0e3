"""Every error in one form: `{"error", "message", "statusCode"}`, as the contract has it."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from db import DatabaseError, NotAllowedError, TransientDatabaseError
from gateway import terms
from service.database_checks import GRANTS
from service.trouble_log import TroubleLog
from settle_client.outcome import Problem, encode_json
from tasks.errors import NotUnderstoodError, OutcomesNotPublishedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

logger = logging.getLogger(__name__)

CLIENT_LEFT = 499


class BusyError(Exception):
    """More updates wait than can be settled soon."""


def problem(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with an error."""
    body = encode_json(Problem.of(status, message))
    return Response(body, status, headers, terms.JSON)


class Problems:
    """What each exception is answered with."""

    def __init__(self) -> None:
        self.trouble = TroubleLog("settles again")
        self.handlers: dict[Any, Any] = {
            HTTPException: self.refuse,
            NotUnderstoodError: self.explain,
            ClientDisconnect: self.say_nothing,
            BusyError: self.ask_to_wait,
            TransientDatabaseError: self.admit_trouble,
            OutcomesNotPublishedError: self.admit_trouble,
            NotAllowedError: self.admit_lack,
            DatabaseError: self.admit_failure,
            Exception: self.admit_failure,
        }

    async def refuse(self, request: Request, error: HTTPException) -> Response:
        """Answer a request that this path does not take."""
        message = error.detail
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED and error.headers:
            message = terms.other_method(request.method, error.headers["Allow"])
        elif message == HTTPStatus.NOT_FOUND.phrase:
            message = terms.NOTHING_HERE
        return problem(error.status_code, message, error.headers)

    async def explain(self, request: Request, error: NotUnderstoodError) -> Response:
        """Answer a request whose content is not valid, with what is wrong."""
        return problem(400, str(error))

    async def say_nothing(self, request: Request, error: ClientDisconnect) -> Response:
        """Answer nobody."""
        return Response(status_code=CLIENT_LEFT)

    async def ask_to_wait(self, request: Request, error: BusyError) -> Response:
        """Ask for a pause."""
        return problem(503, terms.TOO_MUCH_WAITS, terms.RETRY_SOON)

    async def admit_trouble(self, request: Request, error: Exception) -> Response:
        """Say that a server is away, and when to try again."""
        is_channel = isinstance(error, OutcomesNotPublishedError)
        text = "result channel is away" if is_channel else "database is away"
        self.trouble.note(text, f"{type(error).__name__}: {error}")
        message = terms.CHANNEL_AWAY if is_channel else terms.DATABASE_AWAY
        return problem(503, message, terms.RETRY_SOON)

    async def admit_lack(self, request: Request, error: Exception) -> Response:
        """Say that the service lacks a right: it is asked again once an operator has granted it."""
        text = f"{type(error).__name__}: {error}"
        self.trouble.note("a privilege is missing", text, GRANTS)
        return problem(503, terms.MAY_NOT_SETTLE, terms.RETRY_SOON)

    async def admit_failure(self, request: Request, error: Exception) -> Response:
        """Say that something is wrong here, and no more of it than that."""
        if isinstance(error, DatabaseError):
            logger.error("request failed", extra={"error": f"{type(error).__name__}: {error}"})
        return problem(500, terms.FAILED)
