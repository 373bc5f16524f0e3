"""What a URL says: which kind of server it names, and how it is shown without its secrets."""

from __future__ import annotations

import re

REDIS_SCHEMES = ("redis", "rediss")
SENTINEL_SCHEME = "sentinel"


def scheme_of(url: str) -> str:
    """Return what kind of address it is, also of one that cannot be taken apart any further."""
    return url.partition(":")[0].lower()


def is_redis(url: str) -> bool:
    """Return whether a URL names one Redis or Valkey server."""
    return scheme_of(url) in REDIS_SCHEMES


def uses_sentinels(url: str) -> bool:
    """Return whether a URL names the sentinels of a Redis or Valkey."""
    return scheme_of(url) == SENTINEL_SCHEME


def hide_password(url: str) -> str:
    """Return a URL, or a list of URLs with `;` between them, without its secrets."""
    return ";".join(_hide_password(part) for part in url.split(";"))


def _hide_password(url: str) -> str:
    # Not by taking the URL apart: a password that was not percent-encoded ends it early.
    url = re.sub(r"(//[^:/@]*):.*@", r"\1:***@", url)
    return re.sub(r"(?i)([?&][^=&]*password)=[^&]*", r"\1=***", url)
