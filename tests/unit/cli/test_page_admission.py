"""Who may see the operators' page, and who may have it do something."""

from __future__ import annotations

import asyncio
from http.cookies import SimpleCookie
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from starlette.responses import PlainTextResponse

from cli.page.admission import Admission, cookie_name

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

KEY = "a key of 16 bytes or more"
COOKIE = cookie_name(KEY)
HERE = "localhost:8001"
POST: dict[str, Any] = {"method": "POST", "origin": f"http://{HERE}"}


async def shown(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer as the page does that is behind it."""
    await PlainTextResponse("shown")(scope, receive, send)


class Answer:
    """What a request is answered with."""

    def __init__(self, messages: list[Message]) -> None:
        start, *rest = messages
        self.status = start["status"]
        self.headers = {name.decode(): value.decode() for name, value in start["headers"]}
        self.text = b"".join(message["body"] for message in rest).decode()

    @property
    def cookie(self) -> Any:
        """Return the cookie that is set."""
        return SimpleCookie(self.headers["set-cookie"])[COOKIE]


def ask(path: str = "/", key: str | None = None, **asked: Any) -> Answer:
    """Ask the page for something; `sec_fetch_site=…` is the header Sec-Fetch-Site."""
    return Answer(messages(path, key, **asked))


def messages(
    path: str,
    key: str | None,
    *,
    form: bytes | None = b"",
    method: str = "GET",
    **headers: Any,
) -> list[Message]:
    """Return what is sent to who asks; without a form they go before it is sent."""
    headers = {"host": HERE, **headers}
    raw = [(name.replace("_", "-").encode(), text.encode()) for name, text in headers.items()]
    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": raw}
    sent: list[Message] = []

    async def receive() -> Message:
        if form is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": form, "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(Admission(shown, key, "login {says}")(scope, receive, send))
    return sent


def log_in(key: str, **headers: str) -> Answer:
    """Show a key."""
    form = urlencode({"key": key}).encode()
    return ask("/login", KEY, form=form, **{**POST, **headers})


@pytest.mark.parametrize("host", [HERE, "127.0.0.1", "[::1]:8001"])
def test_without_a_key_this_machine_is_served(host: str) -> None:
    """Whatever it calls itself."""
    assert ask(host=host).status == 200


@pytest.mark.parametrize("host", ["rebound.example:8001", "10.0.0.1:8001", "localhost.example", ""])
def test_without_a_key_no_other_name_is_served(host: str) -> None:
    """A page elsewhere may have a name of its own for this machine."""
    answer = ask(host=host)
    assert answer.status == 403
    assert "SETTLE_PAGE_KEY" in answer.text


@pytest.mark.parametrize("key", [None, KEY], ids=["no key", "a key"])
@pytest.mark.parametrize(
    "origin",
    [
        "",
        "null",
        "http://localhost:3000",
        "http://localhost",
        "http://evil.example",
        "localhost:8001",
    ],
)
def test_what_does_something_has_to_come_from_the_page(key: str | None, origin: str) -> None:
    """Another port is another page; a browser always says which one it was."""
    cookie = f"{COOKIE}={log_in(KEY).cookie.value}"
    sent: Any = {"method": "POST", "cookie": cookie, **({"origin": origin} if origin else {})}
    assert ask("/letters/drop", key, **sent).status == 403
    assert ask("/letters/drop", key, **{**sent, "origin": f"https://{HERE}"}).text == "shown"


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_other_pages_read_nothing_of_it(site: str) -> None:
    """Not even without seeing what comes; a link to the page itself leads there."""
    assert ask("/readings", sec_fetch_site=site).status == 403
    assert ask("/readings", sec_fetch_site="same-origin").text == "shown"
    assert ask("/", sec_fetch_site=site).text == "shown"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("GET", path) for path in ("/", "/page.js", "/readings", "/letters/1-0", "/login", "//")),
        *(("POST", path) for path in ("/letters/drop", "/letters/replay", "/", "/page.css")),
        *(("HEAD", "/"), ("PUT", "/login"), ("GET", "/page.css/")),
    ],
)
@pytest.mark.parametrize("cookie", ["", f"{COOKIE}=", f"{COOKIE}={KEY}", f"{COOKIE}=é"])
def test_with_a_key_nothing_is_shown_to_who_has_not_shown_it(
    method: str, path: str, cookie: str
) -> None:
    """Whatever the path, and where the Host header looks as if it were another."""
    for host in (HERE, "h/login?", "h/page.css?"):
        headers: Any = {"host": host, "origin": f"http://{host}", "cookie": cookie}
        answer = ask(path, KEY, method=method, **headers)
        assert answer.status in (401, 403)
        assert "shown" not in answer.text or "to be shown first" in answer.text
    assert ask("/page.css", KEY).text == "shown"


def test_who_has_shown_the_key_is_let_in() -> None:
    """By a cookie that no script reads, no other site sends, and that is not the key."""
    answer = log_in(KEY)
    assert (answer.status, answer.headers["location"]) == (303, "/")
    cookie = answer.cookie
    assert (cookie["httponly"], cookie["samesite"], cookie["secure"]) == (True, "strict", "")
    assert KEY not in answer.headers["set-cookie"]
    shown = f"{COOKIE}={cookie.value}"
    assert ask("/readings", KEY, cookie=shown, host="page.example").text == "shown"
    assert ask("/readings", "another key, as of today", cookie=shown).status == 401
    assert log_in(KEY, origin=f"https://{HERE}").cookie["secure"]


def test_two_pages_on_one_machine_do_not_log_each_other_out() -> None:
    """Such as two that `ssh -L` leads to: a browser's cookies are those of all ports of a name."""
    other = "the key of another page"
    assert cookie_name(other) != COOKIE
    both = f"{cookie_name(other)}=x; {COOKIE}={log_in(KEY).cookie.value}"
    assert ask("/readings", KEY, cookie=both).text == "shown"


@pytest.mark.parametrize("key", ["", "another", KEY[:-1], f"{KEY}x", "é" * 9])
def test_another_key_is_not_let_in(key: str, caplog: pytest.LogCaptureFixture) -> None:
    """It can be tried again, and the log has a line without it."""
    answer = log_in(key)
    assert (answer.status, answer.text) == (401, "login This is not the key.")
    assert "set-cookie" not in answer.headers
    assert [record.message for record in caplog.records] == ["wrong key"]


@pytest.mark.parametrize("body", [b"", b"key", b"\xff=\xff", b"other=1"])
def test_what_is_no_form_is_another_key(body: bytes) -> None:
    """It is answered like one."""
    assert ask("/login", KEY, form=body, **POST).status == 401


def test_a_form_is_read_within_bounds() -> None:
    """Before anybody is let in."""
    assert ask("/login", KEY, form=b"key=" + b"x" * 10_000, **POST).status == 413


def test_who_goes_before_all_is_said_is_no_failure() -> None:
    """Nobody is answered, and nothing is logged."""
    assert messages("/login", KEY, form=None, **POST) == []


@pytest.mark.parametrize(
    "answer", [ask(), ask(host="x"), ask("/", KEY), log_in(KEY)], ids=["shown", "host", "key", "in"]
)
def test_every_answer_forbids_what_the_page_does_not_need(answer: Answer) -> None:
    """Scripts and styles of others, frames, and to be kept."""
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
