"""Whether an address in a setting can be meant, and what to do about it where not.

What pydantic is handed, which wants a ValueError. Nothing is connected.
"""

from __future__ import annotations

import re
from ipaddress import ip_network
from urllib.parse import parse_qsl, urlsplit

from db.engine import engine_url
from service.addresses import (
    AMQP_SCHEMES,
    SENTINEL_SCHEME,
    checks_certificates_clearly,
    is_clear,
    is_cluster,
    is_redis,
    scheme_of,
    uses_sentinels,
    why_no_broker,
)

HTTP_SCHEMES = ("http", "https")
RPC_CANNOT_SERVE = (
    "rpc:// cannot be used, for it answers who sent the one message that a task runs for, and here "
    "many share a batch: use redis://, or set none and read the result channel"
)
NO_CLUSTER_BACKEND = (
    "Celery has no result backend on a Redis Cluster: use another, such as redis:// or "
    "db+postgresql://, or set none and read the result channel"
)
# What a broker's URL may say behind the `?`: what both kombu and whoever else connects
# understand. Of other brokers only kombu knows.
OPTIONS = {
    **dict.fromkeys(("redis", "redis+cluster"), ()),
    **dict.fromkeys(("rediss", "rediss+cluster", SENTINEL_SCHEME), ("ssl_…",)),
    **dict.fromkeys(AMQP_SCHEMES, ("heartbeat", "login_method")),
}
# With a dot in it, what stands there is the path of a class of one's own.
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+-]*(?=://)")
DATABASE_NUMBER = re.compile(r"/?\d*")
NO_DATABASE = ("", "/", "/0")


def check_database_url(url: str) -> str:
    """Return a URL of PostgreSQL.

    Raises:
        ValueError: It is none; the text quotes no more of it than its kind.
    """
    engine_url(url)
    return url


def check_url(url: str) -> str:
    """Return a URL that everybody reads in one way.

    Raises:
        ValueError: It is none; the text quotes no more of it than its kind.
    """
    if not is_clear(url):
        raise ValueError("its host and port cannot be read: percent-encode the password")
    if not checks_certificates_clearly(url):
        raise ValueError("its ssl_cert_reqs must be none, optional or required")
    path = urlsplit(url).path
    if (is_redis(url) or uses_sentinels(url)) and not DATABASE_NUMBER.fullmatch(path):
        raise ValueError(
            "must end with the number of a database behind its host and port, as in /0"
        )
    if is_cluster(url) and path not in NO_DATABASE:
        raise ValueError("must name no database: a Redis Cluster has none but 0")
    return url


def check_channel(url: str) -> str:
    """Return the URL of the result channel, or those of sentinels, or of nodes of a cluster.

    Raises:
        ValueError: It is none; the text quotes no more of it than its kind.
    """
    return check_urls(url) if is_cluster(url) or uses_sentinels(url) else check_url(url)


def check_http_url(url: str) -> str:
    """Return a URL of HTTP that everybody reads in one way.

    Raises:
        ValueError: It is none; the text quotes no more of it than its kind.
    """
    if scheme_of(url) not in HTTP_SCHEMES or "://" not in url:
        raise ValueError("must be http:// or https://")
    return check_url(url)


def check_urls(urls: str) -> str:
    """Return several of them, as kombu takes them.

    Raises:
        ValueError: It is none; the text quotes no more of it than its kind.
    """
    # kombu tries one after the other.
    for url in urls.split(";"):
        check_url(url)
    return urls


def check_broker(urls: str) -> str:
    """Return the URL, or the URLs, of a broker.

    Raises:
        ValueError: It is none; the text quotes no more of it than its kind.
    """
    if why := why_no_broker(urls):
        raise ValueError(why)
    check_urls(urls)
    for url in urls.split(";"):
        # kombu knows schemes in any letters, but for what it finds before a `+`.
        if "+" in scheme_of(url):
            _check_letters(url)
        _check_options(url)
    return urls


def _check_letters(url: str) -> None:
    # Celery reads the variable by itself, so that it cannot be mended here.
    scheme = SCHEME.match(url)
    if scheme and scheme[0] != scheme[0].lower():
        raise ValueError(f"its scheme has capitals: write it as {scheme[0].lower()}://")


def _check_options(url: str) -> None:
    known = OPTIONS.get(scheme := scheme_of(url))
    # None of them is quoted: it may be a part of a password.
    names = [name for name, _ in parse_qsl(urlsplit(url).query, keep_blank_values=True)]
    if known is None or all(_is_one_of(known, name) for name in names):
        return
    others = f"other than {' and '.join(known)} " if known else ""
    raise ValueError(f"{scheme}:// takes no options {others}behind a `?`: leave them out")


def _is_one_of(known: tuple[str, ...], name: str) -> bool:
    return any(name == one or (one[-1] == "…" and name.startswith(one[:-1])) for one in known)


def check_backend(url: str) -> str:
    """Return the URL of Celery's result backend.

    Raises:
        ValueError: It is none; the text quotes no more of it than its kind.
    """
    if scheme_of(url) == "rpc":
        raise ValueError(RPC_CANNOT_SERVE)
    if is_cluster(url):
        raise ValueError(NO_CLUSTER_BACKEND)
    _check_letters(url)
    # Celery has many others, each with a form of its own.
    return check_urls(url) if is_redis(url) or uses_sentinels(url) else url


def check_networks(text: str) -> str:
    """Return networks, with commas between them.

    Raises:
        ValueError: One is none; the text names it.
    """
    for part in filter(None, map(str.strip, text.split(","))):
        try:
            ip_network(part)
        except ValueError:
            raise ValueError(
                f"{part} is no network: write them as 10.1.0.0/16, with commas between them"
            ) from None
    return text
