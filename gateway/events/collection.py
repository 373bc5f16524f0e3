"""What there is at `/v2/api/events`: an operation for each method, each in a module of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from gateway import terms

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from gateway.access.admission import Admission

    Operation = Callable[[Request, frozenset[str] | None], Awaitable[Response]]


class Collection:
    """All events together."""

    def __init__(self, admission: Admission, **operations: Operation) -> None:
        """Take the operation of each method."""
        self._admission, self._operations = admission, operations

    @property
    def route(self) -> Route:
        """Return where they are."""
        return Route(terms.EVENTS, self.answer, methods=list(self._operations))

    async def answer(self, request: Request) -> Response:
        """Do what the method says, for whoever is let in."""
        accounts = await self._admission.admit(request)
        method = "GET" if request.method == "HEAD" else request.method
        return await self._operations[method](request, accounts)
