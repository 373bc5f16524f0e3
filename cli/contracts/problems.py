"""The responses of the HTTP door that are problems: one form for all, and their headers."""

from __future__ import annotations

from typing import Any

from cli.contracts.examples import REFUSALS, field_error, problem
from gateway import terms
from gateway.access import terms as limit_terms
from service.settings import Settings

MAX_BODY_BYTES: int = Settings.model_fields["gateway_body_max_bytes"].default

HEADERS = {
    "WWW-Authenticate": {
        "description": "How to authenticate.",
        "required": True,
        "schema": {"type": "string", "pattern": "^Bearer"},
        "example": terms.ASK_FOR_KEY["WWW-Authenticate"],
    },
    "Retry-After": {
        "description": "After how many seconds to try again.",
        "required": True,
        "schema": {"type": "integer", "minimum": 0},
        "example": int(terms.RETRY_SOON["Retry-After"]),
    },
    "Accept-Encoding": {
        "description": "With 415: how a body may be encoded.",
        "schema": {"type": "string"},
        "example": terms.PLAIN_ONLY["Accept-Encoding"],
    },
    limit_terms.POLICY_FIELD: {
        "description": "The limits that a request was held to, as "
        "draft-ietf-httpapi-ratelimit-headers-11 has it. In every answer, if there are any.",
        "schema": {"type": "string"},
        "example": '"key-requests";q=100;w=1, '
        '"account-updates";q=2000;qu="updates";w=1;pk=:YWNjdF85:',
    },
    limit_terms.LIMIT_FIELD: {
        "description": "What is left of them, `r`, and for how many seconds that is to do, `t`.",
        "schema": {"type": "string"},
        "example": '"key-requests";r=99;t=1, "account-updates";r=0;t=1;pk=:YWNjdF85:',
    },
    "Link": {
        "description": "Where the next page is, as RFC 8288 has it; not with the last one.",
        "schema": {"type": "string"},
        "example": f'<{terms.EVENTS}?pageSize=2&after=…>; rel="next"',
    },
    "Allow": {
        "description": "With 405: the methods that there are.",
        "schema": {"type": "string"},
        "example": "PATCH",
    },
}

# For each status: its name among the components, what it means, its headers, and a message.
_SHARED: dict[str, tuple[str, str, tuple[str, ...], str]] = {
    "401": (
        "Unauthorized",
        "The API key is missing or not known.",
        ("WWW-Authenticate",),
        terms.NO_KEY,
    ),
    "408": ("RequestTimeout", "The request came too slowly.", (), terms.TOO_SLOW),
    "413": (
        "ContentTooLarge",
        "The body is too large; it was not read.",
        (),
        terms.too_large(MAX_BODY_BYTES),
    ),
    "415": (
        "UnsupportedMediaType",
        "The body is not `application/json`, or it is compressed.",
        ("Accept-Encoding",),
        terms.NOT_JSON,
    ),
    "429": (
        "TooManyRequests",
        "More requests or updates than the key, or an account, may have: nothing is applied.",
        ("Retry-After", limit_terms.POLICY_FIELD, limit_terms.LIMIT_FIELD),
        limit_terms.too_often(limit_terms.ACCOUNT_UPDATES, 2_000, 1, "acct_9"),
    ),
    "500": (
        "InternalServerError",
        "A fault of the service. To send it again under the same key is safe.",
        (),
        terms.FAILED,
    ),
    "503": (
        "ServiceUnavailable",
        "The database or the result channel does not answer.",
        ("Retry-After",),
        terms.DATABASE_AWAY,
    ),
}
_UNKNOWN_METHOD = problem(405, terms.other_method("GET", "PATCH"))


def components() -> dict[str, Any]:
    """Return the responses that operations share."""
    shared = {
        name: response(description, {"example": {"value": problem(int(status), message)}}, *headers)
        for status, (name, description, headers, message) in _SHARED.items()
    }
    shared["OtherProblem"] = response(
        "Any other problem, in the same form: 404 for another path, 405 for another method.",
        {"unknownMethod": {"summary": "Another method", "value": _UNKNOWN_METHOD}},
        "Allow",
    )
    return shared


def shared(*statuses: int) -> dict[str, Any]:
    """Refer to the responses of some statuses, and to that of all others."""
    responses = {str(status): _reference(_SHARED[str(status)][0]) for status in statuses}
    return {**responses, "default": _reference("OtherProblem")}


def bad_batch() -> dict[str, Any]:
    """Return the response to a batch that is not valid."""
    return response(
        "The request is not valid, and nothing of it is applied.",
        {
            name: {
                "summary": refusal.summary,
                "value": problem(400, refusal.message),
                "x-request-body": refusal.body,
            }
            for name, refusal in REFUSALS.items()
        },
    )


def bad_id() -> dict[str, Any]:
    """Return the response to an id that no event can have."""
    message = field_error({"id": "ev\0", "status": "completed"})
    example = {
        "summary": "An id with NUL",
        "value": problem(400, message),
        "x-request-path": terms.EVENT.format(id="ev%00"),
    }
    return response("No event can have this id.", {"nulInId": example})


def unknown_event() -> dict[str, Any]:
    """Return the response to an id that no event has, or none that the key may see."""
    example = {
        "summary": "An unknown event",
        "value": problem(404, terms.NO_EVENT),
        "x-request-path": terms.EVENT.format(id="ev_404"),
    }
    return response("There is no such event, or it is of another account.", {"unknown": example})


def response(description: str, examples: dict[str, Any], *headers: str) -> dict[str, Any]:
    """Return a response that is a problem."""
    content = {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": examples}
    response: dict[str, Any] = {"description": description}
    if headers:
        response["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in headers}
    return {**response, "content": {terms.JSON: content}}


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/responses/{name}"}
