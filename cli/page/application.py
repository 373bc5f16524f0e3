"""The page as an ASGI application: the page itself, its readings as they are made, the letters.

Who may see it is `cli.page.admission`'s. What is sent is JSON, and text in it whatever
somebody has put into a message: the page's script writes it as text, never as HTML.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager
from dataclasses import asdict
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from cli.doctor.examination import say
from cli.page import letters
from cli.page.admission import PAGE, STYLE, Admission
from cli.page.reading import Reader
from cli.page.watching import Followed, Watch
from gateway.requests.body import Reader as BodyReader
from gateway.requests.problems import problem
from service.backlog import result_channel_of
from service.watchdog import GRACE_SECONDS, end_after
from tasks.dead_letters import DeadLetters
from tasks.latest_letters import LATEST

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable

    from starlette.requests import Request

    from cli.page.reading import Reading
    from service.settings import Settings

logger = logging.getLogger(__name__)

MAX_VIEWERS = 50
MAX_BODY_BYTES = 65_536
ENTRY = re.compile(r"\d{1,20}-\d{1,20}", re.ASCII)
BAD_ENTRIES = f"entries: must be a list of 1 to {LATEST:,} ids of dead letters"
ENTRIES = msgspec.json.Decoder(dict[str, list[str]])
STATIC = {"/page.js": "text/javascript", STYLE: "text/css"}
HANGS = "a server does not answer: the page ends without it"


class Page:
    """Answers requests, for one process."""

    def __init__(self, settings: Settings, app: Any) -> None:
        self._settings = settings
        self._reader = Reader(settings, app)
        self.watch = Watch(self._reader.read)
        self._channel = result_channel_of(settings)
        self._body = BodyReader(MAX_BODY_BYTES)
        # One thread: what two people do at once is done one after the other.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="letters")

    async def follow(self, _: Request) -> Response:
        """Answer with each reading as it is made."""
        if self.watch.viewers >= MAX_VIEWERS:
            raise HTTPException(503, f"{MAX_VIEWERS} people watch already")
        readings = self.watch.follow()
        return Followed(self.watch, _events(readings))

    async def show_letter(self, request: Request) -> Response:
        """Show one dead letter."""
        (entry,) = _checked([request.path_params["entry"]])
        letter = await self._with_letters(lambda kept: kept.find(entry))
        if letter is None:
            raise HTTPException(404, "there is no such dead letter any more")
        return _json(letters.show(letter))

    async def replay(self, request: Request) -> Response:
        """Send dead letters again."""
        return await self._see_to(request, letters.replay, "dead letters sent again")

    async def drop(self, request: Request) -> Response:
        """Remove dead letters for good."""
        return await self._see_to(request, letters.drop, "dead letters dropped")

    async def _see_to(self, request: Request, action: Callable[..., Any], line: str) -> Response:
        try:
            entries = ENTRIES.decode(await self._body.read(request, None))["entries"]
        except (msgspec.MsgspecError, KeyError) as error:
            raise HTTPException(400, BAD_ENTRIES) from error
        _checked(entries)
        done = await self._with_letters(lambda kept: action(kept, entries, self._settings))
        logger.info(line, extra={"letters": done.done, "gone": done.gone, "kept": done.kept})
        return _json(asdict(done), 503 if done.failed else 200)

    async def _with_letters(self, action: Callable[[DeadLetters], Any]) -> Any:
        def act() -> Any:
            try:
                return self._channel.ask(lambda server: action(DeadLetters(server.letters)))
            except Exception as error:
                self._channel.close()
                raise HTTPException(503, f"not known to be done: {say(error)}") from error

        return await asyncio.get_running_loop().run_in_executor(self._thread, act)

    @asynccontextmanager
    async def running(self, application: Starlette) -> AsyncIterator[None]:
        """Close what was opened, in the end."""
        yield
        end_after(GRACE_SECONDS, HANGS, logger)
        self.watch.close()
        self._thread.shutdown(cancel_futures=True)
        self._reader.close()
        self._channel.close()


async def _events(following: AsyncGenerator[Reading]) -> AsyncIterator[str]:
    """Write readings as events, the letters only where they are other ones."""
    shown = ""
    async with aclosing(following) as readings:
        async for reading in readings:
            if reading.letters != shown:
                shown = reading.letters
                yield f"event: letters\ndata: {shown}\n\n"
            yield f"event: service\ndata: {reading.service}\n\n"


def _checked(entries: list[str]) -> list[str]:
    if not 1 <= len(entries) <= LATEST or not all(map(ENTRY.fullmatch, entries)):
        raise HTTPException(400, BAD_ENTRIES)
    return entries


def _json(value: Any, status: int = 200) -> Response:
    # In ASCII, for a text from a message need not be one that can be encoded.
    return Response(json.dumps(value), status, media_type="application/json")


async def _refuse(_: Request, error: Any) -> Response:
    return problem(error.status_code, error.detail, error.headers)


async def _fail(_: Request, __: Exception) -> Response:
    return problem(500, "the page has failed: its log says why")


def _static(name: str) -> str:
    return files(__package__).joinpath("static", name).read_text("utf-8")


def make_application(settings: Settings, app: Any) -> Starlette:
    """Make the application; nothing is connected yet.

    Args:
        settings: Those in force.
        app: Celery's.
    """
    page = Page(settings, app)
    key = None if settings.page_key is None else settings.page_key.get_secret_value()
    whole = _static("page.html")
    parts = {path: (_static(path.strip("/")), kind) for path, kind in STATIC.items()}

    async def show_page(_: Request) -> Response:
        return HTMLResponse(whole)

    async def show_part(request: Request) -> Response:
        text, kind = parts[request.scope["path"]]
        return Response(text, media_type=kind)

    application = Starlette(
        routes=[
            Route(PAGE, show_page),
            *(Route(path, show_part) for path in parts),
            Route("/readings", page.follow),
            Route("/letters/replay", page.replay, methods=["POST"]),
            Route("/letters/drop", page.drop, methods=["POST"]),
            Route("/letters/{entry}", page.show_letter),
        ],
        middleware=[Middleware(Admission, key=key, login_page=_static("login.html"))],
        exception_handlers={HTTPException: _refuse, Exception: _fail},
        lifespan=page.running,
    )
    application.state.let_listeners_go = page.watch.stop
    return application
