"""A client of redis-py for a URL: one server, the primary that sentinels know of, or a cluster.

Makes the client of either face and connects nothing: what cannot be meant is found
when it is made. redis-py is imported here alone and late, for it takes longer than
all the rest of this package together.
"""

from __future__ import annotations

# The first connection asks for it; see `settle_client.producer` on what a fork does to that.
import encodings.idna  # noqa: F401
import re
from functools import partial
from typing import Any

from settle_client.errors import AddressError
from settle_client.names import OUTCOMES

SENTINEL = "sentinel://"
CLUSTER = ("redis+cluster://", "rediss+cluster://")
SCHEMES = ("redis://", "rediss://", "unix://", SENTINEL, *CLUSTER)
SENTINEL_PORT = 26_379
MASTER_NAME = "master_name"
# What redis-py calls the parts of a login, and how a URL has those for sentinels.
LOGIN = {"username": "sentinel_username", "password": "sentinel_password"}

# Longer than any command takes, short enough to notice a link that died.
SOCKET_TIMEOUT_SECONDS = 10
CONNECT_TIMEOUT_SECONDS = 3


def names_redis(url: str) -> bool:
    """Return whether a URL names Redis, or Valkey."""
    return url.lower().startswith(SCHEMES)


def names_cluster(url: str) -> bool:
    """Return whether a URL names a Redis Cluster."""
    return url.lower().startswith(CLUSTER)


def open_client(url: str, *, asynchronous: bool, key: str = OUTCOMES, **options: Any) -> Any:
    """Make a client; it connects when it is first used.

    Args:
        url: `redis://`, `rediss://`, `unix://`; or `sentinel://`, `redis+cluster://` or
            `rediss+cluster://`, several of these with `;` between them.
        asynchronous: Make the one whose commands are awaited.
        key: Of a cluster, what the client is for: this key, and those in its slot.
        options: Of redis-py's connections, and with sentinels `master_name` and
            `sentinel_kwargs`. The URL may have `?master_name=` in their place, and
            `sentinel_username=` and `sentinel_password=`, which the sentinels ask for.

    Raises:
        AddressError: The URL or an option cannot be meant; the text has no secret.
    """
    timeouts = {
        "socket_timeout": SOCKET_TIMEOUT_SECONDS,
        "socket_connect_timeout": CONNECT_TIMEOUT_SECONDS,
    }
    url = in_words_of_redis(url)
    if not url.startswith("unix://"):
        timeouts["socket_keepalive"] = True
    make = _open_primary if url.startswith(SENTINEL) else _open_server
    if names_cluster(url):
        make = partial(_open_holder, key)
    from redis import RedisError  # noqa: PLC0415 - see the module

    try:
        client = make(url, asynchronous, {**timeouts, **options})
        # Not connected: it finds an option that there is not.
        pool = client.connection_pool
        pool.connection_class(**pool.connection_kwargs)
    except AddressError:
        raise
    except TypeError as error:
        # Names an option, never its value.
        raise AddressError(f"redis-py does not take an option: {error}") from None
    except (ValueError, RedisError):
        raise AddressError(
            "the URL cannot be understood: percent-encode what is special in its password, "
            "and correct its options, behind the `?`"
        ) from None
    return client


def open_reader(url: str, *, asynchronous: bool, **options: Any) -> Any:
    """Make a client that reads outcomes: text, whatever it is, and each command tried once.

    What is tried again by redis-py is tried without the knowledge of what was lost.
    """
    from redis.asyncio.retry import Retry as AsyncRetry  # noqa: PLC0415 - see the module
    from redis.backoff import NoBackoff  # noqa: PLC0415
    from redis.retry import Retry  # noqa: PLC0415

    retry = (AsyncRetry if asynchronous else Retry)(NoBackoff(), 0)
    text = {"decode_responses": True, "encoding_errors": "backslashreplace"}
    client = open_client(url, asynchronous=asynchronous, **{**options, **text, "retry": retry})
    # redis-py takes ids alone for whole entries.
    client.set_response_callback("XAUTOCLAIM", lambda reply, **_: reply)
    return client


def in_words_of_redis(url: str) -> str:
    """Return a URL in the spelling that redis-py knows."""
    url = re.sub(r"(?<![^;])[\w+]+(?=://)", lambda found: found[0].lower(), url)
    # As Celery's documentation spells it.
    return re.sub(r"(?<=ssl_cert_reqs=)CERT_\w+", lambda found: found[0][5:].lower(), url)


def _open_server(url: str, asynchronous: bool, options: dict[str, Any]) -> Any:
    from redis import Redis  # noqa: PLC0415 - see the module
    from redis.asyncio import Redis as AsyncRedis  # noqa: PLC0415

    return (AsyncRedis if asynchronous else Redis).from_url(url, **options)


def _open_primary(url: str, asynchronous: bool, options: dict[str, Any]) -> Any:
    from redis.connection import parse_url  # noqa: PLC0415 - see the module

    from settle_client.sentinels import AsyncSentinels, Sentinels  # noqa: PLC0415

    # The first says who we are to the primary, and which database is meant.
    parts = [parse_url("redis://" + part.removeprefix(SENTINEL)) for part in url.split(";") if part]
    named = [name for part in parts if (name := part.pop(MASTER_NAME, None))]
    name = options.pop(MASTER_NAME, None) or next(iter(named), None)
    if not name:
        raise AddressError("behind sentinels the option master_name says whom they watch")
    login = {
        word: said
        for word, name in LOGIN.items()
        for part in parts
        if (said := part.pop(name, None))
    }
    sentinel_options = options.pop("sentinel_kwargs", None)
    addresses = [(part.get("host", "127.0.0.1"), part.get("port", SENTINEL_PORT)) for part in parts]
    options = {**options, **{k: v for k, v in parts[0].items() if k not in ("host", "port")}}
    if sentinel_options is None and login:
        # As redis-py has them where nothing is said.
        patience = {name: said for name, said in options.items() if name.startswith("socket_")}
        sentinel_options = {**patience, **login}
    if any(option.startswith("ssl_") for option in options):
        options["ssl"] = True
    sentinel = (AsyncSentinels if asynchronous else Sentinels)(
        addresses, sentinel_kwargs=sentinel_options, **options
    )
    return sentinel.master_for(name)


def _open_holder(key: str, url: str, asynchronous: bool, options: dict[str, Any]) -> Any:
    from settle_client import async_redis_cluster, redis_cluster  # noqa: PLC0415 - see the module

    return (async_redis_cluster if asynchronous else redis_cluster).open_holder(url, key, options)


def clients_of(client: Any) -> list[Any]:
    """Return every client that belongs to one: those of the sentinels, if there are any."""
    manager = getattr(client.connection_pool, "sentinel_manager", None)
    return [client, *(manager.sentinels if manager else ())]
