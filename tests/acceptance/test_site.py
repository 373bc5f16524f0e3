"""The site as a browser has it: what its search finds, and what it fetches."""

from __future__ import annotations

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from tests.browser import browser
from tests.service import eventually
from tests.site import build

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# The search is drawn in a shadow root, which keeps to itself what is asked of the page.
EVERY = """
(what => [document, ...[...document.querySelectorAll("*")].map(one => one.shadowRoot)]
  .filter(Boolean).flatMap(root => [...root.querySelectorAll(what)]))
"""
FIELD = f'{EVERY}("input[role=combobox]")[0]'
FOUND = f'{EVERY}("a").map(one => one.getAttribute("href")).filter(Boolean)'
FETCHED = 'performance.getEntriesByType("resource").map(one => one.name)'


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Serve the site, and give its address."""
    site = build(tmp_path.resolve())
    handler = partial(SimpleHTTPRequestHandler, directory=site)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.mark.browser
def test_a_reader_finds_a_word_and_nothing_is_fetched_from_elsewhere(address: str) -> None:
    """By the search of the page itself; every style, script and index is the site's own."""
    with browser() as reader:
        reader.open(f"{address}index.html")
        before = set(reader.run(FOUND))
        reader.run('document.querySelector(".md-search__button").click()')
        eventually(lambda: bool(reader.run(f"Boolean({FIELD})")))
        reader.run(f"{FIELD}.focus()")
        reader.type("breaker")

        def finds_it() -> bool:
            return any("trouble" in one for one in set(reader.run(FOUND)) - before)

        eventually(finds_it, lambda: reader.run(FOUND))
        fetched = reader.run(FETCHED)
    assert fetched
    assert [one for one in fetched if not one.startswith(address)] == []
