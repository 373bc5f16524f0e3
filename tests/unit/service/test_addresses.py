"""What a URL says, and that nothing says its password."""

from __future__ import annotations

import re

import pytest
import redis
from click.testing import CliRunner
from hypothesis import example, given
from hypothesis import strategies as st

from cli.commands import config
from cli.main import main
from service.addresses import hide_password

# What ends a password for one or another of those who read URLs, and what some think it does.
PUNCTUATION = ";@/:?#&=%[],. '\"\\|~!$*()<>{}+-_`^\n\t"
# Letters that are nowhere but in passwords, so that one of them shown is a password shown.
LETTERS = "XYZ"
PASSWORDS = st.text(alphabet=LETTERS + "0123456789é" + PUNCTUATION, max_size=20)
ENCODED = st.text(alphabet="abcXYZ09%!$", max_size=8)
SCHEMES = st.sampled_from(
    ["redis", "rediss", "amqp", "pyamqp", "sentinel", "postgresql", "postgresql+psycopg", "http"]
)
USERS = st.text(alphabet="abc09.-_/@; ", max_size=8)
HOSTS = st.sampled_from(
    ["h", "h.example", "h:6379", "127.0.0.1:5432", "[::1]:6379", "h1:5432,h2:5433", ""]
)
PATHS = st.sampled_from(["", "/", "/0", "//", "/db", "/db?sslmode=require", "/?a=b"])
URLS = st.builds("{}://{}:{}@{}{}".format, SCHEMES, USERS, PASSWORDS, HOSTS, PATHS)
WORDS = st.text(alphabet="abc: ,;.'\"()[]{}=/@?&#\n", max_size=20)
HOSTILE = "p;@/:?# X"


def shows_nothing(text: str) -> bool:
    """Return whether no letter of a password is shown."""
    return not set(hide_password(text)) & set(LETTERS)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:secret@host:6379/0", "redis://:***@host:6379/0"),
        ("redis://host:6379/0", "redis://host:6379/0"),
        ("redis://[::1]:6379/0", "redis://[::1]:6379/0"),
        ("redis://user@host/0", "redis://user@host/0"),
        ("postgresql://h1:1,h2:2/db?application_name=a", "postgresql://h1:1,h2:2/db?application_name=a"),
        ("postgresql://user:secret@host/db", "postgresql://user:***@host/db"),
        ("postgresql://u:se;cret@h/db", "postgresql://u:***@h/db"),
        ("postgresql://me@work:secret@h/db", "postgresql://me@work:***@h/db"),
        ("amqp://u:secret@a//;amqp://u:secret@b//", "amqp://u:***@a//;amqp://u:***@b//"),
        ("sentinel://a:1/0;sentinel://:x@b:2/0", "sentinel://a:1/0;sentinel://:***@b:2/0"),
        ("amqp://u:secret@a;u:secret@b", "amqp://u:***@b"),
        ("nonsense", "nonsense"),
        ("redis://:se/cr#et@host:6379/0", "redis://:***@host:6379/0"),
        ("redis://:se@cret@host:6379/0", "redis://:***@host:6379/0"),
        ("redis://:secret", "redis://:***"),
        ("postgresql:///db?host=/run&password=secret", "postgresql:///db?host=/run&password=***"),
        ("postgresql:///db?sslpassword=secret&host=/run", "postgresql:///db?sslpassword=***&host=/run"),
        ("redis://h/0?Password=a@b", "redis://h/0?Password=***"),
        ("redis://u:se?password=cret@h/0", "redis://u:***"),
        ("redis://h/0?password=se;redis://cret", "redis://h/0?password=***"),
        ("redis://u:se;redis://cret@h/0", "redis://u:***@h/0"),
        (
            "from redis://u:secret@a/0 to postgresql://u:secret@b/db: no",
            "from redis://u:***@a/0 to postgresql://u:***@b/db: no",
        ),
        ("from redis://u:se@cret@a to redis://u:secret@b", "from redis://u:***@b"),
        ("GET https://host:8443/a, mail to me@b.c", "GET https://host:***@b.c"),
    ],
)  # fmt: skip
def test_passwords_are_hidden(url: str, shown: str) -> None:
    """All else of a URL is shown, unless it may be a password too."""
    assert hide_password(url) == shown


@given(SCHEMES, USERS, PASSWORDS, HOSTS, PATHS)
def test_of_one_url_the_password_alone_is_hidden(
    scheme: str, user: str, password: str, host: str, path: str
) -> None:
    """Whatever is in it, percent-encoded or not."""
    shown = f"{scheme}://{user}:***@{host}{path}"
    assert hide_password(f"{scheme}://{user}:{password}@{host}{path}") == shown


@given(URLS, WORDS, WORDS)
def test_in_a_text_no_password_is_shown(url: str, before: str, behind: str) -> None:
    """Whatever stands before the URL, and behind it."""
    assert shows_nothing(before + url + behind)


@given(
    st.lists(URLS, min_size=1, max_size=4), st.sampled_from([";", ",", " and ", "\n", "'; '", "="])
)
@example([f"sentinel://:{HOSTILE}@a:26379/0"] * 3, ";")
@example(["amqp://u:X@a//", f"amqp://u:{HOSTILE}@b//"], ";")
def test_in_a_list_no_password_is_shown(urls: list[str], between: str) -> None:
    """Of sentinels, of brokers to try in turn, of servers in a line of the log."""
    assert shows_nothing(between.join(urls))


@given(st.lists(st.tuples(ENCODED, HOSTS, PATHS), min_size=1, max_size=4))
def test_a_list_whose_passwords_are_encoded_is_shown_as_a_list(
    servers: list[tuple[str, str, str]],
) -> None:
    """Which servers it names is what somebody looks for who reads it."""
    listed = ";".join(f"sentinel://u:{password}@{host}{path}" for password, host, path in servers)
    shown = ";".join(f"sentinel://u:***@{host}{path}" for _, host, path in servers)
    assert hide_password(listed) == shown


@given(
    SCHEMES,
    HOSTS,
    st.sampled_from(["?", "?user=a&", "?ssl", "?a=b&PASSWORD=X&"]),
    PASSWORDS.filter(lambda secret: not re.search("&[^=&]*=", secret)),
    st.sampled_from(["", "&host=/run", ": it is away", " and redis://u:X@h"]),
)
def test_a_password_in_a_query_is_hidden(
    scheme: str, host: str, query: str, password: str, behind: str
) -> None:
    """Where libpq and redis-py look for it too."""
    assert shows_nothing(f"{scheme}://{host}/db{query}password={password}{behind}")


@pytest.mark.parametrize(
    "text",
    [
        *("?" * 200_000, "?password=" * 20_000, "//x:" * 50_000, "@" * 200_000, "x@//" * 50_000),
        *("&a" * 100_000, ";redis://" * 20_000, "redis://u:p@h;" * 20_000),
    ],
    ids=lambda text: str(text[:14]),
)
def test_a_long_text_of_somebody_else_is_gone_through_soon(text: str) -> None:
    """What is logged may have come with a message: none makes a worker search for minutes."""
    hide_password(f"redis://{text}")


@given(WORDS.filter(lambda words: "//" not in words and "password" not in words))
def test_a_text_without_urls_is_shown_as_it_is(text: str) -> None:
    """Addresses of people, times of day and paths are none."""
    assert hide_password(text) == text


def test_the_error_of_a_command_shows_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """A library may quote the URL that it was given."""

    def fail() -> None:
        raise redis.ConnectionError("cannot use redis://u:se;cret@host/0")

    monkeypatch.setattr(config, "load_settings", fail)
    result = CliRunner().invoke(main, ["config"])
    assert (
        result.output == "Error: the Redis of CELERY_BROKER_URL: cannot use redis://u:***@host/0\n"
    )
