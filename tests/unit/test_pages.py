"""The documentation: that it builds, that its links lead somewhere, that it fetches nothing."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any

import pytest

from tests.site import CONFIGURATION, ROOT, Page, broken_links, pages_of_repository, pages_of_site
from tests.site import build as build_site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# In the order in which a reader comes to need them.
SECTIONS = ("Start", "Send", "Consume", "Run", "When something is wrong", "Reference", "Why")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site once."""
    return build_site(tmp_path_factory.mktemp("site").resolve())


def navigation() -> list[dict[str, Any]]:
    """Return the sections of the site."""
    sections: list[dict[str, Any]] = tomllib.loads(CONFIGURATION.read_text("utf-8"))["project"][
        "nav"
    ]
    return sections


def listed(part: Any) -> Iterator[str]:
    """Give the pages that are named in a part of the navigation."""
    match part:
        case str():
            yield part
        case list():
            for each in part:
                yield from listed(each)
        case dict():
            yield from listed(list(part.values()))


def test_links_lead_somewhere_in_the_site(site: Path) -> None:
    """To a page and to a place in it; the strict build alone lets a missing file pass."""
    pages = pages_of_site(site)
    assert len(pages) > len(SECTIONS)
    assert broken_links(pages) == []


def test_links_lead_somewhere_in_the_repository() -> None:
    """Where the same pages are read as files, the README among them."""
    assert broken_links(pages_of_repository()) == []


def test_a_link_that_leads_nowhere_is_found() -> None:
    """A missing file and a missing heading, each named."""
    readme = ROOT / "README.md"
    html = '<a href="docs/none.md">a</a> <a href="#none">b</a> <a href="LICENSE">c</a>'
    assert broken_links({readme: Page(html)}) == ["README.md: docs/none.md", "README.md: #none"]


def test_the_readme_compares_by_what_was_measured() -> None:
    """Its table has no figure that the pages with the measurements do not have."""
    readme, docs = (ROOT / "README.md").read_text("utf-8"), ROOT / "docs"
    (table,) = re.findall(r"\| updates a second .*?\n\n", readme, re.DOTALL)
    measured = [(docs / page).read_text("utf-8") for page in ("benchmarks.md", "guarantees.md")]
    rates = re.findall(r"\| \**([\d,]+)\** \|", table)
    losses = re.findall(r"\| (\d+) and (\d+) \|", table)
    assert (len(rates), len(losses)) == (4, 2)
    assert [rate for rate in rates if f"| {rate} |" not in measured[0]] == []
    assert [pair for pair in losses if "| {} | {} |".format(*pair) not in measured[1]] == []


def test_every_page_is_in_the_navigation() -> None:
    """Once, under the sections in their order."""
    assert [name for section in navigation() for name in section] == list(SECTIONS)
    docs = ROOT / "docs"
    written = sorted(path.relative_to(docs).as_posix() for path in docs.glob("**/*.md"))
    assert sorted(listed(navigation())) == written


def test_the_site_fetches_nothing_from_elsewhere(site: Path) -> None:
    """No font, script, style or picture: it is read where nothing else is reached."""
    elsewhere = [
        link
        for page in pages_of_site(site).values()
        for link in page.links
        if link.tag != "a" and re.match(r"(https?:)?//", link.url)
    ]
    assert elsewhere == []
    styles = [path.read_text("utf-8") for path in site.rglob("*.css")]
    assert styles
    assert not any(re.search(r"(url\(|@import )['\"]?(https?:)?//", style) for style in styles)
