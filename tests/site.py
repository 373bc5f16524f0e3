"""The documentation as readers get it: as files of the repository, and built as a site."""

from __future__ import annotations

import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from markdown import markdown

ROOT = Path(__file__).parents[1]
CONFIGURATION = ROOT / "zensical.toml"
# What a browser fetches by itself; an <a> waits for a click.
FETCHED = {"href", "src", "srcset", "poster", "data"}


class Link(NamedTuple):
    """What a page points at."""

    tag: str
    url: str


class Page(HTMLParser):
    """The links of a page, and the places in it that links can name."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[Link] = []
        self.ids: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what an element names and points at."""
        for name, value in attrs:
            if name in FETCHED and value:
                self.links.append(Link(tag, value))
            elif name == "id" and value:
                self.ids.add(value)


def build(directory: Path) -> Path:
    """Build the site strictly in a folder of its own, and return where its pages are.

    Raises:
        AssertionError: A page or an anchor is missing, with what Zensical says of it.
    """
    shutil.copy(CONFIGURATION, directory)
    shutil.copytree(ROOT / "docs", directory / "docs")
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    ended = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return directory / "build" / "site"


def pages_of_site(site: Path) -> dict[Path, Page]:
    """Return the pages of a built site, without the one that a server shows for any missing."""
    paths = [path for path in site.rglob("*.html") if path.name != "404.html"]
    return {path: Page(path.read_text("utf-8")) for path in paths}


def pages_of_repository() -> dict[Path, Page]:
    """Return the Markdown files as they are shown where the repository is."""
    paths = [*ROOT.glob("*.md"), *ROOT.glob("client/*.md"), *ROOT.glob("docs/**/*.md")]
    extensions = ["fenced_code", "tables", "toc"]
    return {path: Page(markdown(path.read_text("utf-8"), extensions=extensions)) for path in paths}


def broken_links(pages: dict[Path, Page]) -> list[str]:
    """Return the links that lead to no file, or to no place in one."""
    return [
        f"{path.name}: {link.url}"
        for path, page in pages.items()
        for link in page.links
        if not urlsplit(link.url).scheme and not _leads_somewhere(path, link.url, pages)
    ]


def _leads_somewhere(path: Path, url: str, pages: dict[Path, Page]) -> bool:
    parts = urlsplit(url)
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if not target.exists():
        return False
    return not parts.fragment or target not in pages or parts.fragment in pages[target].ids
