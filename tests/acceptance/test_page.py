"""`settle page`, as an operator uses it: in a browser, with no more rights than the operator's."""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any

import pytest
import redis

from cli.embedded import Redis, free_port
from cli.page.admission import cookie_name
from cli.page.application import MAX_VIEWERS
from cli.page.letters import LETTERS_SHOWN
from tests.browser import browser
from tests.service import PATIENCE_SECONDS, LoggedProcess, eventually
from tests.started import started

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.browser import Browser
    from tests.service import Service

    Open = Callable[..., "OperatorsPage"]

QUEUE, DEAD = "event-status-updates", "event-status-updates.dead"
HOSTILE = "<script>window.ran = 1</script><img src=x onerror='window.ran = 2'>"
KEY = "0123456789abcdef"
# Whether a text is written from left to right, wherever it stands among the letters.
PLACES = """text => {
  const walker = document.createTreeWalker(document.getElementById("letters"), NodeFilter.SHOW_TEXT)
  const found = []
  while (walker.nextNode()) {
    const node = walker.currentNode, at = node.data.indexOf(text)
    const left = place => {
      const range = document.createRange()
      range.setStart(node, place)
      range.setEnd(node, place + 1)
      return range.getBoundingClientRect().left
    }
    if (at >= 0 && node.parentElement.offsetParent) found.push(left(at) < left(at + 1))
  }
  return found
}"""


class OperatorsPage(LoggedProcess):
    """A `settle page` process."""

    def __init__(self, log: Path, broker_url: str, **settings: str) -> None:
        """Start it, and wait until it listens."""
        self.port = int(settings.get("SETTLE_PAGE_PORT", free_port()))
        self.url = f"http://localhost:{self.port}/"
        environment = {
            **os.environ,
            "CELERY_BROKER_URL": broker_url,
            # It is to do without.
            "DATABASE_URL": "postgresql://127.0.0.1:1/nowhere",
            "SETTLE_PAGE_PORT": str(self.port),
            **settings,
        }
        super().__init__(log, environment, sys.executable, "-m", "cli", "page")
        self.wait_for_log("page starts")

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Return the status and the JSON that a request of the page is answered with."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        host = f"localhost:{self.port}"
        sent = {"Host": host, "Origin": f"http://{host}", "Content-Type": "application/json"}
        with closing(connection):
            connection.request(method, path, json.dumps(body), sent | headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Open]:
    """Give a way to start pages."""
    with ExitStack() as stack:

        def start(broker_url: str, **settings: str) -> OperatorsPage:
            log = tmp_path / f"page-{free_port()}.log"
            page = OperatorsPage(log, broker_url, **settings)
            stack.callback(page.kill)
            return page

        yield start


@pytest.fixture
def page(service: Service, start: Open) -> OperatorsPage:
    """Give a page for the documented operator."""
    return start(service.users.operator)


@pytest.fixture(scope="module")
def lasting_page(
    lasting_service: Service, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OperatorsPage]:
    """Give a page to all tests of this module that change nothing."""
    log = tmp_path_factory.mktemp("page") / "page.log"
    page = OperatorsPage(log, lasting_service.users.operator)
    yield page
    page.kill()


@pytest.fixture
def chromium() -> Iterator[Browser]:
    """Give a browser that complains of nothing."""
    with browser() as opened:
        yield opened
        assert opened.heard("Runtime.exceptionThrown") == []
        said = [one["entry"]["text"] for one in opened.heard("Log.entryAdded")]
        # What is refused, and who is away, is for the tests.
        assert [one for one in said if "Content Security" in one or "Trusted" in one] == []


def keep(service: Service, **fields: str) -> str:
    """Keep a dead letter."""
    return str(service.channel.xadd(DEAD, {"messageId": "m", "raw": "x", **fields}))


@pytest.mark.browser
def test_the_page_shows_what_happened(
    service: Service, page: OperatorsPage, chromium: Browser
) -> None:
    """Of workers, queue, outcomes, groups and dead letters; with nothing from elsewhere."""
    ids = [f"ev_{number}" for number in range(20)]
    service.load(*ids)
    service.channel.xgroup_create("event-outcomes", "ahead", "0", mkstream=True)
    service.start_worker()
    for some in (ids, ids[:5]):
        sent = service.send(args=[[{"id": one, "status": "completed"} for one in some]])
        service.wait({sent.id: some})
    bad = service.send(kwargs={"id": HOSTILE, "status": HOSTILE})
    service.wait({bad.id: [HOSTILE]})
    service.wait_until_empty()
    service.channel.xgroup_create("event-outcomes", "behind", "0")
    service.channel.xreadgroup("ahead", "c", {"event-outcomes": ">"}, noack=True)
    service.channel.xtrim("event-outcomes", maxlen=3, approximate=False)

    chromium.open(page.url)
    chromium.wait_for("updated\t0\t20", "#outcomes")
    assert "already_completed\t0\t5\n" in chromium.text("#outcomes")
    assert "invalid\t0\t1" in chromium.text("#outcomes")
    assert "w0@" in chromium.text("#workers")
    assert "ready\t0/3\t0\t0\t-\tall up\tnow" in chromium.text("#workers")
    assert chromium.text("#groups").splitlines() == ["ahead\t0\t0", "behind\t3\t23"]
    assert chromium.text("#trouble").startswith("The consumer group behind has lost 23 outcomes")
    assert "***" in chromium.text("#address")
    facts = chromium.text("#facts")
    assert "waiting\n0\n" in facts
    assert "workers ready\n1 of 1\n0 of 3 slots taken" in facts

    chromium.run("document.querySelector('#letters > details').open = true")
    chromium.run("document.querySelector('#letters details details').open = true")
    chromium.wait_for(f'"status": "{HOSTILE}"', "#letters pre")
    assert f'got "{HOSTILE[:30]}' in chromium.text("#letters")
    assert chromium.run("document.querySelectorAll('main script, main img').length") == 0
    assert chromium.run("window.ran ?? 'did not run'") == "did not run"
    asked = [one["request"]["url"] for one in chromium.heard("Network.requestWillBeSent")]
    assert {f"{page.url}readings", f"{page.url}page.css"} <= set(asked)
    assert [url for url in asked if not url.startswith((page.url, "data:"))] == []


@pytest.mark.browser
def test_the_page_fits_a_phone(service: Service, page: OperatorsPage, chromium: Browser) -> None:
    """By day and by night; what is long is wrapped."""
    service.start_worker()
    keep(service, reason="a-reason-without-a-blank-" * 20, time="2026-11-26T10:00:00.000000Z")
    grounds = set()
    for dark in (False, True):
        chromium.look(width=390, height=844, dark=dark)
        chromium.open(page.url)
        chromium.wait_for("1 of 1", "#facts")
        chromium.wait_for("1 x ", "#letters")
        assert chromium.run("document.documentElement.scrollWidth") == 390
        grounds.add(chromium.run("getComputedStyle(document.body).backgroundColor"))
    assert len(grounds) == 2


@pytest.mark.browser
def test_letters_are_seen_to_with_the_keyboard(
    service: Service, page: OperatorsPage, chromium: Browser
) -> None:
    """By reason and one by one; nothing is dropped unless that is confirmed."""
    service.load("ev_0", "ev_1")
    for number in range(2):
        raw = json.dumps({"id": f"ev_{number}", "status": "failed"})
        keep(service, reason=f"too large by {number}", raw=raw)
    rubbish = [keep(service, reason="rubbish", raw=f'"{number}"') for number in range(3)]

    chromium.open(page.url)
    chromium.wait_for("2 x too large by …", "#letters")
    chromium.tab_to("too large by")
    chromium.press("Enter")
    chromium.tab_to("Replay these 2")
    chromium.press("Enter")
    chromium.wait_for("Sent again: 2.", "#done")
    eventually(lambda: "too large" not in chromium.text("#letters"))
    assert service.redis.llen(QUEUE) == 2
    service.start_worker()
    service.wait_until_empty()
    rows = service.database.read_events(["ev_0", "ev_1"])
    assert {row.status for row in rows.values()} == {"failed"}

    chromium.tab_to("rubbish")
    chromium.press("Enter")
    chromium.tab_to("Replay these 3")
    chromium.press("Enter")
    chromium.wait_for("Sent again: 0. 3 still not valid, kept: ", "#done")
    chromium.run("document.querySelectorAll('#letters details details')[2].open = true")
    chromium.run("document.querySelectorAll('#letters .drop')[3].focus()")
    chromium.press("Enter")
    chromium.wait_for("Drop this dead letter for good?", "#question")
    # What has the focus at first is to keep it.
    chromium.press("Enter")
    chromium.run("document.querySelectorAll('#letters .drop')[3].focus()")
    chromium.press("Enter")
    chromium.press("Escape")
    # It has closed, and said so, before a person can press the next key.
    chromium.run("new Promise(done => setTimeout(done, 100))")
    assert not chromium.run("document.getElementById('ask').open")
    assert service.channel.xlen(DEAD) == 3

    chromium.press("Enter")
    chromium.tab_to("Drop for good")
    chromium.press("Enter")
    chromium.wait_for("Dropped 1.", "#done")
    chromium.wait_for("2 x rubbish", "#letters")
    assert [entry for entry, _ in service.channel.xrange(DEAD)] == rubbish[1:]
    # What was open is open still.
    chromium.tab_to("Drop these 2")
    chromium.press("Enter")
    chromium.tab_to("Drop for good")
    chromium.press("Enter")
    chromium.wait_for("There are none.", "#kept")
    assert service.channel.xlen(DEAD) == 0


@pytest.mark.browser
def test_a_reading_goes_on_while_servers_come_and_go(start: Open, chromium: Browser) -> None:
    """The broker, and the page's own; each time the page says so, and then that it is over."""
    with started(Redis) as broker:
        page = start(broker.url)
        chromium.open(page.url)
        chromium.wait_for("No worker answers", "#trouble")
        broker.stop()
        chromium.wait_for("The broker does not answer", "#trouble")
        assert chromium.text("#state") == "live"
        broker.start()
        chromium.wait_for("No worker answers", "#trouble")
        page.process.send_signal(signal.SIGSTOP)
        chromium.wait_for("what is shown is old", "#state")
        page.process.send_signal(signal.SIGCONT)
        eventually(lambda: chromium.text("#state") == "live")
        page.kill()
        chromium.wait_for("trying again", "#state")
        start(broker.url, SETTLE_PAGE_PORT=str(page.port))
        eventually(lambda: chromium.text("#state") == "live")


@pytest.mark.browser
def test_what_is_read_stays_where_it_is_while_letters_come(
    service: Service, page: OperatorsPage, chromium: Browser
) -> None:
    """A letter that is open, and as far as one has read in it; and it is read once."""
    keep(service, reason="one of 1", raw="a line\n" * 500)
    chromium.open(page.url)
    chromium.wait_for("1 x one of …", "#letters")
    chromium.run("document.querySelector('#letters > details').open = true")
    chromium.run("document.querySelector('#letters details details').open = true")
    chromium.wait_for("a line", "#letters pre")
    chromium.run("document.querySelector('#letters pre').scrollTop = 1234")
    for number in range(LETTERS_SHOWN + 2):
        keep(service, reason=f"one of {number}")
    # More of another kind, which is first then.
    for _ in range(LETTERS_SHOWN * 2):
        keep(service, reason="frequent")
    chromium.wait_for(f"{LETTERS_SHOWN + 3} x one of …", "#letters")
    chromium.wait_for(f"{LETTERS_SHOWN * 2} x frequent", "#letters")
    assert (
        chromium.run("document.querySelector('#letters details details[open] pre')?.scrollTop")
        == 1234
    )
    asked = [one["request"]["url"] for one in chromium.heard("Network.requestWillBeSent")]
    assert len([url for url in asked if "/letters/" in url]) == 1


@pytest.mark.browser
def test_what_a_message_carries_turns_no_other_text_round(
    service: Service, page: OperatorsPage, chromium: Browser
) -> None:
    """By characters that write from right to left: what stands behind it is the page's to say."""
    keep(
        service,
        messageId="m\u202e",
        reason="r\u202e",
        time="2026-11-26T10:00:00.000000Z",
        index="7",
    )
    chromium.open(page.url)
    chromium.wait_for("1 x r", "#letters")
    chromium.run("document.querySelector('#letters > details').open = true")
    places = f"({PLACES})('2026'), ({PLACES})('index'), ({PLACES})('10:00')"
    assert chromium.run(f"[{places}].flat()") == [True] * 5


@pytest.mark.browser
def test_who_finds_no_room_is_told_and_comes_in_later(
    lasting_page: OperatorsPage, chromium: Browser
) -> None:
    """As it is with whatever a proxy in front answers while the page is away."""
    with ExitStack() as stack:
        for _ in range(MAX_VIEWERS):
            connection = HTTPConnection("localhost", lasting_page.port, timeout=PATIENCE_SECONDS)
            stack.enter_context(closing(connection)).request("GET", "/readings")
            assert connection.getresponse().status == 200
        chromium.open(lasting_page.url)
        chromium.wait_for("people watch already; trying again", "#state")
    eventually(lambda: chromium.text("#state") == "live")


@pytest.mark.browser
def test_a_worker_that_cannot_settle_says_why(
    service: Service, page: OperatorsPage, chromium: Browser
) -> None:
    """Without its database, and when the breaker has tripped; one that went is seen to be gone."""
    homeless = service.start_worker(DATABASE_URL="postgresql://127.0.0.1:1/nowhere")
    chromium.open(page.url)
    chromium.wait_for("no database", "#workers")
    assert "w0@" in chromium.text("#trouble")
    assert homeless.stop() == 0
    for _ in range(200):
        service.send(kwargs={"id": "ev_2", "status": "done"}, ignore_result=True)
    service.start_worker()
    chromium.wait_for("The breaker has tripped: w1@", "#trouble")
    chromium.wait_for("no answer", "#workers")
    # It may not have asked its database by then, which is told first.
    chromium.wait_for("100% of the latest messages are not valid", "#trouble")
    assert "add_consumer event-status-updates" in chromium.text("#trouble")


@pytest.mark.browser
def test_with_a_key_it_is_asked_for(service: Service, start: Open, chromium: Browser) -> None:
    """Once; no script can read what the browser keeps of it."""
    page = start(service.users.operator, SETTLE_PAGE_KEY=KEY)
    chromium.open(page.url)
    assert chromium.text("main").startswith("Settle\n")
    assert chromium.run("getComputedStyle(document.querySelector('input')).display") == "block"
    for key, says in (("another key of 16", "This is not the key."), (KEY, "Dead letters")):
        # That is where the focus is from the start.
        eventually(lambda: chromium.run("document.activeElement.id") == "key")
        chromium.type(key)
        chromium.press("Enter")
        chromium.wait_for(says)
    chromium.wait_for("live", "#state")
    assert chromium.run("document.cookie") == ""
    chromium.open(page.url)
    chromium.wait_for("live", "#state")
    assert KEY not in page.log.read_text()
    for path in ("/readings", "/letters/1-0", "/page.js"):
        assert page.ask("GET", path)[0] == 401
    cookie = f"{cookie_name(KEY)}=x"
    status, _ = page.ask("POST", "/letters/drop", {"entries": ["1-0"]}, Cookie=cookie)
    assert status == 401


def test_it_ends_when_it_is_asked_to_though_somebody_watches(
    service: Service, page: OperatorsPage
) -> None:
    """The stream ends as an answer does; what is kept of connections is closed."""
    service.start_worker()
    with closing(HTTPConnection("localhost", page.port, timeout=PATIENCE_SECONDS)) as watching:
        watching.request("GET", "/readings")
        answer = watching.getresponse()
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.readline() == b"event: letters\n"
        assert page.stop() == 0
        assert answer.read().endswith(b"\n\n")
    assert page.log.read_text().splitlines()[-1].count("page stopped") == 1
    assert "Cancel" not in page.log.read_text()


def test_who_watches_is_counted(lasting_page: OperatorsPage) -> None:
    """There is an end to how many can, and who goes makes room."""
    with ExitStack() as stack:
        for _ in range(MAX_VIEWERS):
            connection = HTTPConnection("localhost", lasting_page.port, timeout=PATIENCE_SECONDS)
            stack.enter_context(closing(connection)).request("GET", "/readings")
            assert connection.getresponse().readline() == b"event: letters\n"
        assert lasting_page.ask("GET", "/readings")[0] == 503
    with closing(
        HTTPConnection("localhost", lasting_page.port, timeout=PATIENCE_SECONDS)
    ) as connection:

        def is_let_in() -> bool:
            connection.close()
            connection.request("GET", "/readings")
            return connection.getresponse().status == 200

        eventually(is_let_in)


def test_who_comes_at_the_same_time_is_counted_too(page: OperatorsPage) -> None:
    """Before any of them has seen a reading."""
    with ExitStack() as stack:
        many = []
        for _ in range(MAX_VIEWERS + 30):
            connection = HTTPConnection("localhost", page.port, timeout=PATIENCE_SECONDS)
            many.append(stack.enter_context(closing(connection)))
            connection.request("GET", "/page.css")
            connection.getresponse().read()
        # What all of them ask for lies there when it goes on.
        page.process.send_signal(signal.SIGSTOP)
        for connection in many:
            connection.request("GET", "/readings")
        page.process.send_signal(signal.SIGCONT)
        answers = [connection.getresponse().status for connection in many]
    assert (answers.count(200), answers.count(503)) == (MAX_VIEWERS, 30)


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status", "says"),
    [
        ("POST", "/letters/drop", {"entries": []}, {}, 400, "entries: must be"),
        ("POST", "/letters/drop", {"entries": ["1-0", "-"]}, {}, 400, "entries: must be"),
        ("POST", "/letters/replay", {"entries": "1-0"}, {}, 400, "entries: must be"),
        ("POST", "/letters/replay", {}, {}, 400, "entries: must be"),
        ("POST", "/letters/drop", {"entries": ["1-0"] * 1_001}, {}, 400, "entries: must be"),
        ("POST", "/letters/drop", ["x" * 70_000], {}, 413, "larger than"),
        ("POST", "/letters/drop", {}, {"Content-Type": "text/plain"}, 415, "Content-Type"),
        ("POST", "/letters/drop", {}, {"Origin": "http://localhost:1"}, 403, "Origin"),
        ("GET", "/letters/drop", None, {}, 400, "entries: must be"),
        ("GET", "/letters/1-0", None, {}, 404, "no such dead letter"),
        ("GET", "/readings", None, {"Host": "rebound.example"}, 403, "Host"),
        ("GET", "/nothing", None, {}, 404, "Not Found"),
    ],
)
def test_what_is_not_understood_is_refused(
    lasting_page: OperatorsPage,
    method: str,
    path: str,
    body: Any,
    headers: dict[str, str],
    status: int,
    says: str,
) -> None:
    """In the form that every error has; nothing is done."""
    answered, problem = lasting_page.ask(method, path, body, **headers)
    assert (answered, problem["statusCode"]) == (status, status)
    assert says in problem["message"]


def test_whatever_is_in_a_letter_it_can_be_looked_at(
    lasting_service: Service, lasting_page: OperatorsPage
) -> None:
    """Halves of characters, numbers that are none, bytes that are no text, and much of it."""
    delivery = '{"key": "\\ud800", "age": NaN}'
    raw = '{"id": "ev_1", "status": "\\ud800"}'
    odd = keep(lasting_service, reason="\u202e", delivery=delivery, raw=raw)
    shown = lasting_page.ask("GET", f"/letters/{odd}")
    assert (shown[0], json.loads(shown[1]["delivery"])["key"]) == (200, "\ud800")
    status, done = lasting_page.ask("POST", "/letters/replay", {"entries": [odd]})
    assert (status, done["done"], done["kept"]) == (200, 0, 1)
    assert "status: must be" in done["why"]
    deep = keep(lasting_service, delivery="[" * 20_000, raw="[" * 100_000)
    shown = lasting_page.ask("GET", f"/letters/{deep}")
    assert (shown[0], len(shown[1]["raw"]), shown[1]["cut"]) == (200, 65_536, 34_464)
    assert lasting_page.ask("POST", "/letters/replay", {"entries": [deep]})[1]["kept"] == 1
    bytes_ = lasting_service.channel.xadd(DEAD, {"raw": b"\xff", "reason": b"\xfe"})
    shown = lasting_page.ask("GET", f"/letters/{bytes_}")
    assert (shown[0], shown[1]["raw"], shown[1]["reason"]) == (200, "\\xff", "\\xfe")


def test_what_cannot_be_done_is_said(start: Open) -> None:
    """Without a password; and it can be done when the server is back, over the next connection."""
    with started(Redis) as broker:
        page = start(f"redis://:hush@127.0.0.1:{broker.port}/0")
        url = broker.url
        with redis.Redis.from_url(url) as owner:
            owner.config_set("requirepass", "hush")
            entry = owner.xadd(DEAD, {"raw": "x"}).decode()
            assert page.ask("GET", f"/letters/{entry}")[0] == 200
            owner.close()
        broker.stop(immediate=True)
        status, problem = page.ask("POST", "/letters/drop", {"entries": [entry]})
        assert status == 503
        assert "not known to be done" in problem["message"]
        assert "hush" not in problem["message"]
        broker.start()
        with redis.Redis.from_url(url) as owner:
            owner.config_set("requirepass", "hush")
        status, done = page.ask("POST", "/letters/drop", {"entries": [entry]})
        assert (status, done["gone"]) == (200, 1)
