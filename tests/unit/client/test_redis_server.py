"""Which servers a URL of Redis means; nothing is connected."""

from __future__ import annotations

from typing import Any

import pytest
from redis.crc import key_slot

from settle_client.errors import AddressError
from settle_client.redis_cluster import options_of
from settle_client.redis_server import clients_of, open_client

BOTH = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "asyncio"])


def connection_options(client: Any) -> dict[str, Any]:
    """Return what connections are made with."""
    options: dict[str, Any] = client.connection_pool.connection_kwargs
    return options


@BOTH
@pytest.mark.parametrize(
    ("url", "expected"),
    [
        pytest.param("redis://h:1/3", {"host": "h", "port": 1, "db": 3}, id="server"),
        pytest.param("rediss://u:p@h", {"host": "h", "username": "u", "password": "p"}, id="tls"),
        pytest.param(
            "unix:///run/redis.sock?db=2", {"path": "/run/redis.sock", "db": 2}, id="unix"
        ),
        pytest.param(
            "rediss://h?ssl_cert_reqs=CERT_NONE", {"ssl_cert_reqs": "none"}, id="celery's spelling"
        ),
    ],
)
def test_a_url_is_redis_pys(url: str, expected: dict[str, Any], asynchronous: bool) -> None:
    """With timeouts, for a link may die without a word."""
    client = open_client(url, asynchronous=asynchronous)
    options = connection_options(client)
    assert {name: options[name] for name in expected} == expected
    assert (options["socket_timeout"], options["socket_connect_timeout"]) == (10, 3)
    assert options.get("socket_keepalive", False) is not url.startswith("unix:")
    assert clients_of(client) == [client]


@BOTH
def test_sentinels_say_which_server_it_is(asynchronous: bool) -> None:
    """All of them are asked; the first URL says who we are to it, and which database is meant."""
    client = open_client(
        "sentinel://u:p@one:1/3;sentinel://two;",
        asynchronous=asynchronous,
        master_name="settle",
        sentinel_kwargs={"password": "theirs"},
        socket_timeout=7,
    )
    options = connection_options(client)
    expected = {"db": 3, "username": "u", "password": "p", "socket_timeout": 7}
    assert {name: options[name] for name in expected} == expected
    assert client.connection_pool.service_name == "settle"
    primary, *sentinels = clients_of(client)
    assert primary is client
    asked = [connection_options(sentinel) for sentinel in sentinels]
    assert [(one["host"], one["port"]) for one in asked] == [("one", 1), ("two", 26_379)]
    assert {one["password"] for one in asked} == {"theirs"}


@BOTH
def test_a_url_may_say_whom_the_sentinels_watch(asynchronous: bool) -> None:
    """For those who are handed a URL and no options."""
    for url in (
        "sentinel://one;sentinel://two/3?master_name=a%20b",
        "sentinel://h?master_name=a%20b",
    ):
        client = open_client(url, asynchronous=asynchronous)
        assert client.connection_pool.service_name == "a b"


@BOTH
def test_a_url_may_say_what_the_sentinels_ask_for(asynchronous: bool) -> None:
    """They alone are told it, and are waited for no longer than without; an option comes first."""
    url = "sentinel://u:p@one;sentinel://two?master_name=m&sentinel_username=we&sentinel_password=a%2Bb"
    client = open_client(url, asynchronous=asynchronous, socket_timeout=7)
    told, *asked = map(connection_options, clients_of(client))
    assert (told["username"], told["password"]) == ("u", "p")
    for one in asked:
        assert (one["username"], one["password"], one["socket_timeout"]) == ("we", "a+b", 7)
    option: dict[str, Any] = {"sentinel_kwargs": {"password": "theirs"}}
    _, one, _ = clients_of(open_client(url, asynchronous=asynchronous, **option))
    assert connection_options(one)["password"] == "theirs"  # noqa: S105


@BOTH
@pytest.mark.parametrize("url", ["sentinel://", "SENTINEL://127.0.0.1", "Sentinel://"])
def test_a_sentinel_is_on_this_machine_unless_it_says_where(url: str, asynchronous: bool) -> None:
    """At its usual port, however the scheme is written."""
    client = open_client(url, asynchronous=asynchronous, master_name="settle")
    ((host, port),) = [
        (options["host"], options["port"])
        for options in map(connection_options, clients_of(client)[1:])
    ]
    assert (host, port) == ("127.0.0.1", 26_379)


@BOTH
def test_sentinels_of_a_primary_behind_tls(asynchronous: bool) -> None:
    """Any option of TLS asks for it."""
    make = {"asynchronous": asynchronous, "master_name": "settle"}
    for url, is_secure in (("sentinel://h?ssl_cert_reqs=none", True), ("sentinel://h", False)):
        client = open_client(url, **make)  # type: ignore[arg-type]
        assert ("SSL" in client.connection_pool.connection_class.__name__) is is_secure


@BOTH
def test_a_cluster_is_looked_for_at_several_nodes(asynchronous: bool) -> None:
    """The first URL says who we are to all of them; the holder of the key is asked for."""
    client = open_client(
        "REDISS+CLUSTER://u:p@one:1/0?ssl_cert_reqs=CERT_NONE;rediss+cluster://two;",
        asynchronous=asynchronous,
        key="{queue}.retry",
    )
    options = connection_options(client)
    assert options["nodes"].in_turn() == [("one", 1), ("two", 6_379)]
    expected = {"username": "u", "password": "p", "ssl_cert_reqs": "none", "socket_timeout": 10}
    assert {name: options[name] for name in expected} == expected
    assert options["slot"] == key_slot(b"queue")
    assert "SSL" in client.connection_pool.connection_class.__name__
    assert clients_of(client) == [client]


@BOTH
@pytest.mark.parametrize(
    ("url", "options", "words"),
    [
        pytest.param("redis+cluster://h/3", {}, "no database but 0", id="cluster's database"),
        pytest.param(
            "redis+cluster://h?colour=hush", {}, "does not take an option: .*colour", id="cluster's"
        ),
        pytest.param("sentinel://h", {}, "the option master_name says whom", id="whom"),
        pytest.param(
            "redis://h", {"colour": "hush"}, "does not take an option: .*colour", id="option"
        ),
        pytest.param("redis://:hush@h:port", {}, "the URL cannot be understood", id="url"),
        pytest.param(
            "rediss://h?ssl_cert_reqs=hush", {}, "the URL cannot be understood", id="certificate"
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(
    url: str, options: dict[str, Any], words: str, asynchronous: bool
) -> None:
    """When it is made, and without a secret."""
    with pytest.raises(AddressError, match=words) as caught:
        open_client(url, asynchronous=asynchronous, **options)
    assert "hush" not in str(caught.value)


def test_nodes_of_a_cluster_are_named_however_they_are_written() -> None:
    """Also for the worker's transport, which hands on what Celery was given."""
    options = options_of("Rediss+Cluster://one?ssl_cert_reqs=CERT_NONE;REDISS+CLUSTER://two", "q")
    assert options["ssl_cert_reqs"] == "none"
    assert options["nodes"].in_turn() == [("one", 6_379), ("two", 6_379)]
