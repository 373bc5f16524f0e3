"""What a URL says: which kind of server it names, and how it is shown without its secrets."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from settle_client.redis_server import LOGIN, MASTER_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

REDIS_SCHEMES = ("redis", "rediss")
CLUSTER_SCHEMES = ("redis+cluster", "rediss+cluster")
AMQP_SCHEMES = ("amqp", "amqps", "pyamqp")
SENTINEL_SCHEME = "sentinel"
DATABASE_SCHEMES = ("postgresql", "postgres")
# Those of kombu besides; with a dot in it, a scheme is the path of a transport of one's own.
OTHER_BROKER_SCHEMES = (
    *("azureservicebus", "azurestoragequeues", "confluentkafka", "consul", "etcd", "filesystem"),
    *("gcpubsub", "kafka", "librabbitmq", "memory", "mongodb", "pgmq", "pyro", "qpid"),
    *("slmq", "sqla", "sqlalchemy", "sqs", "zookeeper"),
)
_BROKER_SCHEMES = (*REDIS_SCHEMES, *AMQP_SCHEMES, SENTINEL_SCHEME, *OTHER_BROKER_SCHEMES)
# As redis-py spells them, and as Celery's documentation does.
CERTIFICATE_CHECKS = ("none", "optional", "required", "CERT_NONE", "CERT_OPTIONAL", "CERT_REQUIRED")

_SCHEMES = "|".join((*REDIS_SCHEMES, *AMQP_SCHEMES, SENTINEL_SCHEME, *DATABASE_SCHEMES))
# Where one of several URLs begins.
_BEGINNING = re.compile(rf"(?<=[;,\s'\"(<\[{{=])(?=(?:{_SCHEMES})(?:\+\w+)?://)")
# What follows a host is a port, or else the host was a user and this is a password.
_NO_PORT = re.compile(r"//[^\s/@:\[\]]*:(?!\d{0,5}(?:\W|\Z))")
# Nothing but one URL, with or without a login, and what stands around it.
_CLEAR = re.compile(
    rf"(?:(?!//)[^@])*+(?:(?!{_NO_PORT.pattern})[^@]*+|//[^\s/?#@;,]*@[^@]*+)", re.DOTALL
)
_PARAMETER = re.compile(r"[?&][^\s=&?]*password=(.*?)(?=&[\w.-]+=|\Z)", re.DOTALL | re.IGNORECASE)
_VALUE = re.compile("=[^&]*")


def scheme_of(url: str) -> str:
    """Return what kind of address it is, also of one that cannot be taken apart any further."""
    return url.partition(":")[0].lower()


def is_redis(url: str) -> bool:
    """Return whether a URL names one Redis or Valkey server."""
    return scheme_of(url) in REDIS_SCHEMES


def is_cluster(url: str) -> bool:
    """Return whether a URL names a Redis Cluster."""
    return scheme_of(url) in CLUSTER_SCHEMES


def may_hold_outcomes(url: str) -> bool:
    """Return whether the result channel may be where a URL points to."""
    return is_redis(url) or is_cluster(url) or uses_sentinels(url)


def uses_sentinels(url: str) -> bool:
    """Return whether a URL names the sentinels of a Redis or Valkey."""
    return scheme_of(url) == SENTINEL_SCHEME


def name_primary(
    url: str, name: str | None, login: Mapping[str, str] = MappingProxyType({})
) -> str:
    """Return a URL, if it is one of sentinels with what they are asked, and by whom.

    Args:
        url: Of any server.
        name: Of the primary that they watch.
        login: The user and the password that they ask for, in redis-py's words.
    """
    if not uses_sentinels(url) or not name:
        return url
    options = {MASTER_NAME: name, **{LOGIN[word]: said for word, said in login.items()}}
    query = urlencode(options, quote_via=quote, safe="")
    return f"{url}{'&' if '?' in url else '?'}{query}"


def why_no_broker(url: str) -> str | None:
    """Say why a URL names no broker by what it begins with, None if it may name one.

    Args:
        url: Of which nothing but its scheme is quoted.
    """
    scheme = scheme_of(url).partition("+")[0]
    if "://" not in url or not scheme:
        return "must begin with the kind of broker: redis://, sentinel:// or amqp://"
    if scheme in _BROKER_SCHEMES or "." in scheme:
        return None
    return f"{scheme!r} is no kind of broker: redis://, sentinel:// or amqp://"


def is_clear(url: str) -> bool:
    """Return whether a URL names one host and port to whoever reads it.

    A password that was not percent-encoded may end early: the rest of it is then taken for
    a host, a port or a path, which errors quote.
    """
    try:
        parts = urlsplit(url)
        # Read where it is asked for.
        _ = parts.port
    except ValueError:
        return False
    return "@" not in parts.path + _VALUE.sub("", parts.query) + parts.fragment


def checks_certificates_clearly(url: str) -> bool:
    """Return whether what a URL says of the server's certificate is known, if it says anything."""
    options = parse_qsl(urlsplit(url).query)
    return all(value in CERTIFICATE_CHECKS for name, value in options if name == "ssl_cert_reqs")


def hide_password(text: str) -> str:
    """Return a URL, or any text with URLs in it, without their passwords.

    Where a password ends that was not percent-encoded cannot be known, and a text may say
    something behind it. So whatever may belong to one is hidden, at the cost of what
    else that is. Several URLs are told apart where each can be read in one way only.
    """
    parts = _BEGINNING.split(text)
    # A parameter's value may go on in what looks like the next URL.
    if not all(map(_CLEAR.fullmatch, parts)) or any(map(_PARAMETER.search, parts[:-1])):
        parts = [text]
    return "".join(map(_hide, parts))


def _hide(text: str) -> str:
    shown, end = "", 0
    for start, stop in sorted(_secrets(text)):
        if start >= end:
            shown += text[end:start] + "***"
        end = max(end, stop)
    return shown + text[end:]


def _secrets(text: str) -> Iterator[tuple[int, int]]:
    """Yield where a password may begin and end, in every way to read a text."""
    address, at = text.find("//"), text.rfind("@")
    colon = text.find(":", address + 2, at) if 0 <= address < at else -1
    if colon >= 0:
        yield colon + 1, at
    cut_off = _NO_PORT.search(text, at + 1)
    if cut_off:
        yield cut_off.end(), len(text)
    yield from (parameter.span(1) for parameter in _PARAMETER.finditer(text))
