"""What of uvicorn, httptools and Starlette the gateway reaches into is as it was.

A release that changes one of these names fails here, by the name. That what is built on
them works is for the acceptance tests to see.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
from pathlib import Path
from typing import Any

import httptools
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from gateway.serving import connection
from gateway.serving.connection import Connection

SIGNATURES = {
    HttpToolsProtocol: {
        "__init__": "(self, config: 'Config', server_state: 'ServerState', "
        "app_state: 'dict[str, Any]', _loop: 'asyncio.AbstractEventLoop | None' = None) -> 'None'",
        "connection_made": "(self, transport: 'asyncio.Transport') -> 'None'",
        "connection_lost": "(self, exc: 'Exception | None') -> 'None'",
        "data_received": "(self, data: 'bytes') -> 'None'",
        "eof_received": "(self) -> 'None'",
        "on_message_begin": "(self) -> 'None'",
        "on_headers_complete": "(self) -> 'None'",
        "on_body": "(self, body: 'bytes') -> 'None'",
        "on_message_complete": "(self) -> 'None'",
        "on_response_complete": "(self) -> 'None'",
        "pause_writing": "(self) -> 'None'",
        "resume_writing": "(self) -> 'None'",
        "timeout_keep_alive_handler": "(self) -> 'None'",
        "send_400_response": "(self, msg: 'str') -> 'None'",
        "_start_asgi_task": "(self, cycle: 'RequestResponseCycle', app: 'ASGI3Application')"
        " -> 'None'",
        "_unset_keepalive_if_required": "(self) -> 'None'",
    },
    uvicorn.Server: {
        "run": "(self, sockets: 'list[socket.socket] | None' = None) -> 'None'",
        "shutdown": "(self, sockets: 'list[socket.socket] | None' = None) -> 'None'",
    },
}
ATTRIBUTES = {
    *("cycle", "headers", "loop", "parser", "pipeline", "transport", "url"),
    *("timeout_keep_alive", "timeout_keep_alive_task"),
}
OF_A_CYCLE = {
    *("disconnected", "keep_alive", "message_event", "more_body"),
    *("response_complete", "response_started"),
}
OF_A_PARSER = {
    *("feed_data", "get_http_version", "get_method", "should_keep_alive", "should_upgrade")
}
# Where a name is used, and how it stands there.
SOURCES: list[tuple[Any, str]] = [
    # What is overridden is called.
    (HttpToolsProtocol.__init__, "self.parser = httptools.HttpRequestParser(self)"),
    (HttpToolsProtocol.on_headers_complete, "on_response=self.on_response_complete"),
    (HttpToolsProtocol.on_headers_complete, "self._start_asgi_task(self.cycle, app)"),
    (HttpToolsProtocol.on_response_complete, "self._start_asgi_task(cycle, app)"),
    (HttpToolsProtocol.on_response_complete, "self.timeout_keep_alive_handler"),
    # A request that is behind others is the last cycle, and is in the pipeline.
    (HttpToolsProtocol.on_headers_complete, "self.pipeline.appendleft((self.cycle, app))"),
    # What follows the body is taken for fields of the request.
    (HttpToolsProtocol.on_header, "self.headers.append((name, value))"),
    # The application learns that nobody waits.
    (RequestResponseCycle.receive, "await self.message_event.wait()"),
    (RequestResponseCycle.receive, "if self.disconnected or self.response_complete:"),
    (RequestResponseCycle.send, "if self.disconnected:"),
    # A signal that came before uvicorn listened is obeyed; and it is raised again in the end.
    (uvicorn.Server.on_tick, "if self.should_exit:"),
    # It stops before it waits for what has no end.
    (uvicorn.Server._serve, "await self.shutdown(sockets=sockets)"),
    (uvicorn.Server.capture_signals, "signal.raise_signal(captured_signal)"),
]


def protocol() -> HttpToolsProtocol:
    """Make a connection as uvicorn does, at the beginning of a request."""
    config = uvicorn.Config(lambda: None, lifespan="off", log_config=None)
    loop = asyncio.new_event_loop()
    try:
        made = HttpToolsProtocol(config, ServerState(), {}, loop)
        made.on_message_begin()
        return made
    finally:
        loop.close()


def cycle() -> RequestResponseCycle:
    """Make a request."""
    of_another: Any = dict.fromkeys(inspect.signature(RequestResponseCycle).parameters)
    return RequestResponseCycle(**of_another)


@pytest.mark.parametrize(
    ("owner", "name", "signature"),
    [(owner, *each) for owner, names in SIGNATURES.items() for each in names.items()],
    ids=[f"{owner.__name__}.{name}" for owner, names in SIGNATURES.items() for name in names],
)
def test_a_method_has_the_parameters_that_it_had(owner: Any, name: str, signature: str) -> None:
    """It is overridden or called here."""
    assert str(inspect.signature(getattr(owner, name))) == signature


@pytest.mark.parametrize(
    ("owner", "names"),
    [
        (protocol, ATTRIBUTES),
        (cycle, OF_A_CYCLE),
        (lambda: httptools.HttpRequestParser(protocol()), OF_A_PARSER),
        (lambda: httptools, {"HttpParserError", "HttpParserUpgrade", "HttpRequestParser"}),
        (lambda: FlowControl, {"resume_writing"}),
        (lambda: uvicorn.Server(uvicorn.Config(lambda: None)), {"should_exit"}),
        (lambda: Starlette().router, {"redirect_slashes"}),
        (lambda: Route("/", lambda _: None), {"methods"}),
    ],
    ids=["connection", "cycle", "parser", "httptools", "flow", "server", "router", "route"],
)
def test_a_name_is_there(owner: Any, names: set[str]) -> None:
    """It is read or set here."""
    made = owner()
    assert sorted(name for name in names if not hasattr(made, name)) == []


@pytest.mark.parametrize(
    ("function", "text"), SOURCES, ids=[f"{each.__qualname__}: {text}" for each, text in SOURCES]
)
def test_uvicorn_still_does_what_is_relied_upon(function: Any, text: str) -> None:
    """A method is called from there, or an attribute is looked at."""
    assert text in inspect.getsource(function)


def test_no_name_is_used_that_is_not_here() -> None:
    """And none of a connection's own has got another meaning for uvicorn."""
    (made,) = (
        node
        for node in ast.parse(Path(connection.__file__).read_text("utf-8")).body
        if isinstance(node, ast.ClassDef)
    )
    used = {
        node.attr
        for node in ast.walk(made)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("self", "super()")
    }
    own = {name for name in vars(Connection) if not name.startswith("__")}
    own |= set(Connection.__annotations__)
    pinned = ATTRIBUTES | set(SIGNATURES[HttpToolsProtocol])
    assert sorted(used - own - pinned) == []
    theirs = set(dir(protocol()))
    assert sorted((own & theirs) - pinned) == []
