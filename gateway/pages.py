"""The contract, served: as it is, and to read in a browser. Nothing of an event is in it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from gateway import reference, terms

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from starlette.requests import Request


def pages(contract: Mapping[str, Any]) -> Iterator[Route]:
    """Yield where it is served, to anybody."""
    policy = {"Content-Security-Policy": reference.POLICY}
    document, page = json.dumps(contract, indent=2), reference.page(contract, terms.CONTRACT)

    async def show_document(_: Request) -> Response:
        return Response(document, media_type=terms.JSON)

    async def show_page(_: Request) -> Response:
        return HTMLResponse(page, headers=policy)

    yield Route(terms.CONTRACT, show_document)
    yield Route(terms.DOCS, show_page)
