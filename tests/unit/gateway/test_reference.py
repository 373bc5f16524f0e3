"""The contract as a page."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from cli.contracts import openapi
from gateway.reference import page

VOID = {"meta"}


class Reader(HTMLParser):
    """Notes what is in a page, and whether every element ends where it should."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin an element."""
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """End the one that began last."""
        assert self.open.pop() == tag


def test_the_page_has_every_operation_answer_and_schema() -> None:
    """With the examples."""
    document = openapi.document()
    text = page(document, "/openapi.json")
    for path, methods in document["paths"].items():
        for method in methods:
            assert f"<code>{method.upper()} {path}</code>" in text
    for name in document["components"]["schemas"]:
        assert f"<summary>{name}</summary>" in text
    assert "Idempotency-Key" in text
    assert "the body is null" in text


def test_the_page_is_whole_and_asks_nobody_for_anything() -> None:
    """No script, no image, no address but that of the document."""
    read = Reader(page(openapi.document(), "/openapi.json"))
    assert not read.open
    assert read.links == ["/openapi.json"]
    assert not read.tags & {"script", "img", "link", "iframe"}


def test_nothing_of_the_document_is_taken_for_markup() -> None:
    """Whatever is in a description or an example."""
    document = openapi.document()
    document["info"]["description"] = "<script>alert(1)</script> `a<b`"
    text = page(document, "/openapi.json")
    assert "<script" not in text
    assert re.search(r"&lt;script&gt;.* <code>a&lt;b</code>", text)
