"""Errors: one form for all of them, and a log that is worth reading."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from db import BadDataError, DatabaseError, NotAllowedError, TransientDatabaseError
from gateway.requests.problems import BusyError, Problems, problem
from tasks.errors import OutcomesNotPublishedError

if TYPE_CHECKING:
    from starlette.responses import Response


def answer(problems: Problems, error: Exception) -> Response:
    """Return what an error is answered with."""
    handler = next(
        problems.handlers[cls] for cls in type(error).__mro__ if cls in problems.handlers
    )
    asked = Request({"type": "http", "method": "POST", "path": "/", "headers": []})
    response: Response = asyncio.run(handler(asked, error))
    return response


@pytest.mark.parametrize(
    ("error", "status", "phrase", "message"),
    [
        pytest.param(HTTPException(400, "x: is bad"), 400, "Bad Request", "x: is bad", id="400"),
        pytest.param(HTTPException(404), 404, "Not Found", "there is nothing here", id="no path"),
        pytest.param(
            HTTPException(404, "no such event"), 404, "Not Found", "no such event", id="no event"
        ),
        pytest.param(
            HTTPException(405, headers={"Allow": "GET"}),
            *(405, "Method Not Allowed", "POST is not for this path: it takes GET"),
            id="method",
        ),
        pytest.param(BusyError(), 503, "Service Unavailable", "try again", id="busy"),
        pytest.param(
            TransientDatabaseError("secret"), 503, "Service Unavailable", "database", id="database"
        ),
        pytest.param(
            NotAllowedError("secret"), 503, "Service Unavailable", "needs SELECT", id="right"
        ),
        pytest.param(
            OutcomesNotPublishedError("secret"), 503, "Service Unavailable", "channel", id="channel"
        ),
        pytest.param(
            DatabaseError("secret"), 500, "Internal Server Error", "its log", id="an operator's"
        ),
        pytest.param(BadDataError("secret"), 500, "Internal Server Error", "its log", id="data"),
        pytest.param(
            ZeroDivisionError("secret"), 500, "Internal Server Error", "its log", id="a bug"
        ),
    ],
)
def test_every_error_has_one_form(error: Exception, status: int, phrase: str, message: str) -> None:
    """The phrase, what is wrong, the number; and nothing of what only the log is to say."""
    response = answer(Problems(), error)
    body = json.loads(bytes(response.body))
    assert list(body) == ["error", "message", "statusCode"]
    assert (response.status_code, body["statusCode"], body["error"]) == (status, status, phrase)
    assert message in body["message"]
    assert "secret" not in body["message"]
    assert response.headers["content-type"] == "application/json"
    assert ("retry-after" in response.headers) is (status == 503)


def test_headers_are_sent() -> None:
    """Such as how to ask for a key."""
    response = answer(Problems(), HTTPException(401, "no", {"WWW-Authenticate": "Bearer"}))
    assert response.headers["www-authenticate"] == "Bearer"


def test_a_client_that_left_is_sent_nothing() -> None:
    """It is counted, under a number of its own."""
    response = answer(Problems(), ClientDisconnect())
    assert (response.status_code, response.body) == (499, b"")


def test_whatever_a_message_is_made_of_can_be_sent() -> None:
    """It quotes what clients send."""
    body: Any = json.loads(bytes(problem(400, 'é "\0" \N{SNOWMAN}').body))
    assert body["message"] == 'é "\0" \N{SNOWMAN}'


def test_trouble_is_a_line_when_it_begins_and_one_when_it_is_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Not one with every request."""
    problems = Problems()
    with caplog.at_level(logging.INFO):
        problems.trouble.is_over()
        for _ in range(5):
            answer(problems, TransientDatabaseError("no connection"))
        answer(problems, OutcomesNotPublishedError("no connection"))
        problems.trouble.is_over()
        problems.trouble.is_over()
    assert [record.message for record in caplog.records] == [
        *("database is away", "result channel is away", "settles again")
    ]
    assert vars(caplog.records[0])["error"] == "TransientDatabaseError: no connection"


def test_a_privilege_that_is_missing_is_told_once_with_the_fix(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """To whoever can grant it; clients come again."""
    problems = Problems()
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            answered = answer(
                problems, NotAllowedError("42501: permission denied for table events")
            )
            assert answered.headers["retry-after"] == "1"
    (line,) = caplog.records
    assert line.message == "a privilege is missing"
    assert "42501" in vars(line)["error"]
    assert "docs/privileges.md" in vars(line)["fix"]
