"""Delivery tags that follow each other, as one text: `fetch-1`, `fetch-2` are `fetch-1:2`.

A batch is a thousand tags of one or two fetches. So a thousand are noted as one or
two. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def spans_of(tags: Iterable[str]) -> dict[str, list[str]]:
    """Return tags by the spans that they make up.

    Args:
        tags: In any order; each ends in `-` and a number.
    """
    spans: list[list[str]] = []
    following, start, number = "", "", 0
    for tag in tags:
        if tag == following:
            spans[-1].append(tag)
        else:
            start, _, digits = tag.rpartition("-")
            number = int(digits)
            spans.append([tag])
        number += 1
        following = f"{start}-{number}"
    return {f"{span[0]}:{span[-1].rpartition('-')[2]}": span for span in spans}
