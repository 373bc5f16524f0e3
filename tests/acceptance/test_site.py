"""The site as a browser has it: what its search finds, and what it fetches."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
from functools import partial
from html import unescape
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from tests.site import build

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHROMIUM = ("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run")
# Opens a page, types into its search as a reader does, and leaves what came of it to be printed.
READER = """
<iframe src="index.html" width="1200" height="800"></iframe><pre></pre>
<script>
const frame = document.querySelector("iframe"), printed = document.querySelector("pre")
const every = (roots, what) => roots.flatMap(root => [...root.querySelectorAll(what)])
frame.onload = () => {
  const page = frame.contentDocument
  setInterval(() => {
    const roots = [page, ...every([page], "*").map(one => one.shadowRoot).filter(Boolean)]
    const [field] = every(roots, "input[role=combobox]")
    if (!field) return page.querySelector(".md-search__button").click()
    field.value = field.value ? "breaker" : "break"
    field.dispatchEvent(new Event("input", {bubbles: true}))
    printed.textContent = JSON.stringify({
      found: every(roots.slice(1), "a").map(one => one.getAttribute("href")),
      fetched: frame.contentWindow.performance.getEntriesByType("resource").map(one => one.name),
    })
  }, 300)
}
</script>
"""


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Serve the site, and give its address."""
    site = build(tmp_path.resolve())
    (site / "reader.html").write_text(READER)
    handler = partial(SimpleHTTPRequestHandler, directory=site)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.mark.browser
def test_a_reader_finds_a_word_and_nothing_is_fetched_from_elsewhere(
    address: str, tmp_path: Path
) -> None:
    """By the search of the page itself; every style, script and index is the site's own."""
    if not shutil.which("chromium"):
        if os.environ.get("CI"):
            pytest.fail("chromium is not installed")
        pytest.skip("chromium is not installed")
    folder = f"--user-data-dir={tmp_path / 'chromium'}"
    printing = ("--virtual-time-budget=15000", "--dump-dom", f"{address}reader.html")
    ended = subprocess.run(
        [*CHROMIUM, folder, *printing], capture_output=True, text=True, check=True
    )
    (printed,) = re.findall(r"<pre>(.*?)</pre>", ended.stdout, re.DOTALL)
    seen: dict[str, Any] = json.loads(unescape(printed))
    assert any("trouble.html" in one for one in seen["found"])
    assert seen["fetched"]
    assert [one for one in seen["fetched"] if not one.startswith(address)] == []
