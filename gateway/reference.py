"""The contract as a page to read in a browser: made once, of the document, and of nothing else.

No script, no font, no request to anybody: what it looks like is in the page, and its
policy forbids the rest. It is for reading; a client is generated from the document itself.
"""

from __future__ import annotations

import json
import re
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
code, pre { font: 14px/1.45 ui-monospace, monospace; }
pre { overflow-x: auto; padding: .75rem; border: 1px solid #8886; border-radius: 6px; }
h2 { margin-top: 2.5rem; border-top: 1px solid #8886; padding-top: 1rem; }
h2 code { font-size: 1.1rem; }
table { border-collapse: collapse; }
td, th { text-align: left; vertical-align: top; padding: .25rem .75rem .25rem 0; }
summary { cursor: pointer; }
"""


def page(document: Mapping[str, Any], address: str) -> str:
    """Write the page.

    Args:
        document: An OpenAPI document.
        address: Where that is served.
    """
    info = document["info"]
    title = f"{info['title']} {info['version']}"
    parts = [
        f"<h1>{escape(title)}</h1><p>{_text(info['description'])}</p>",
        f'<p>To generate clients from: <a href="{escape(address)}">{escape(address)}</a></p>',
        *_operations(document),
        *_schemas(document),
    ]
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style>"
    )
    body = "\n".join(parts)
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n{body}\n</body></html>\n'


def _operations(document: Mapping[str, Any]) -> Iterator[str]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f'<h2 id="{escape(operation["operationId"])}">'
            yield f"<code>{method.upper()} {escape(path)}</code></h2>"
            yield f"<p><strong>{_text(operation['summary'])}.</strong> "
            yield f"{_text(operation.get('description', ''))}</p>"
            yield from _parameters(operation.get("parameters", ()))
            if "requestBody" in operation:
                yield "<h3>Body</h3>"
                yield from _content(operation["requestBody"])
            yield "<h3>Answers</h3>"
            for status, response in operation["responses"].items():
                yield from _answer(status, _resolved(response, document))


def _parameters(parameters: Any) -> Iterator[str]:
    if parameters:
        yield "<h3>Parameters</h3><table>"
        for one in parameters:
            name = f"<code>{escape(one['name'])}</code> in {escape(one['in'])}"
            yield f"<tr><td>{name}</td><td>{_text(one.get('description', ''))}</td></tr>"
        yield "</table>"


def _answer(status: str, response: Mapping[str, Any]) -> Iterator[str]:
    yield f"<p><code>{escape(status)}</code> {_text(response['description'])}</p>"
    yield from _content(response)


def _content(holder: Mapping[str, Any]) -> Iterator[str]:
    for kind, content in holder.get("content", {}).items():
        for name, example in content.get("examples", {}).items():
            summary = f"{_text(example.get('summary', name))} (<code>{escape(kind)}</code>)"
            yield f"<details><summary>{summary}</summary>{_json(example['value'])}</details>"


def _schemas(document: Mapping[str, Any]) -> Iterator[str]:
    yield "<h2>Schemas</h2>"
    for name, schema in document["components"]["schemas"].items():
        anchor = escape(f"schema-{name}")
        yield f'<details id="{anchor}"><summary>{escape(name)}</summary>{_json(schema)}</details>'


def _resolved(value: Mapping[str, Any], document: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Any = value
    if "$ref" in value:
        found = document
        for name in value["$ref"].removeprefix("#/").split("/"):
            found = found[name]
    return found  # type: ignore[no-any-return]


def _json(value: Any) -> str:
    return f"<pre>{escape(json.dumps(value, indent=2, ensure_ascii=False))}</pre>"


def _text(text: str) -> str:
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text))
