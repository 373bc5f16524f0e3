"""Settings: their values, their errors, their page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from kombu.connection import Connection

from cli import reference
from service.settings import SettingsError, effective, load_settings

ROOT = Path(__file__).parents[3]
DOCUMENT = ROOT / "docs" / "configuration.md"


@pytest.fixture(autouse=True)
def _nothing_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in effective(load_settings()):
        monkeypatch.delenv(name, raising=False)


def test_defaults_need_nothing() -> None:
    """The result channel is on the broker's Redis."""
    settings = load_settings()
    assert settings.batch_max_updates == 1_000
    assert settings.batch_max_wait_seconds == pytest.approx(0.05)
    assert settings.result_channel_url == settings.broker_url


def test_values_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Celery's own names, DATABASE_URL, and the prefix for the rest."""
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://broker/1")
    monkeypatch.setenv("DATABASE_URL", "postgresql://db/settle")
    monkeypatch.setenv("SETTLE_OUTCOME_URL", "redis://outcomes/2")
    monkeypatch.setenv("SETTLE_BATCH_MAX_UPDATES", "7")
    settings = load_settings()
    assert settings.broker_url == "redis://broker/1"
    assert settings.database_url == "postgresql://db/settle"
    assert settings.result_channel_url == "redis://outcomes/2"
    assert settings.batch_max_updates == 7


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SETTLE_BATCH_MAX_UPDATES", "many"),
        ("SETTLE_BATCH_MAX_UPDATES", "0"),
        ("SETTLE_BATCH_MAX_WAIT_SECONDS", "-1"),
        ("SETTLE_OUTCOME_PAYLOAD", "perhaps"),
        ("DATABASE_URL", "mysql://user:secret@db/x"),
        ("DATABASE_URL", "secret"),
        ("SETTLE_READ_DATABASE_URL", "postgresql://u:secret@secret@db/x"),
        ("SETTLE_OUTCOME_URL", "secret"),
        ("SETTLE_OUTCOME_URL", "amqp://:secret@rabbit"),
        ("SETTLE_OUTCOME_URL", "redis://:secret/1@redis:6379/0"),
        ("CELERY_BROKER_URL", "redis://redis:secret/0"),
        ("CELERY_BROKER_URL", "redis://[secret"),
        ("CELERY_BROKER_URL", "redis://u:secret;secret@redis/0"),
        ("CELERY_BROKER_URL", "redis://u:12;secret@redis/0"),
        ("CELERY_BROKER_URL", "redis://u:12/secret@redis/0"),
        ("CELERY_BROKER_URL", "redis://u:12?secret@redis/0"),
        ("CELERY_BROKER_URL", "redis://u:12#secret@redis/0"),
        ("CELERY_BROKER_URL", "redis://u:secr\u2100et@redis/0"),
        ("CELERY_BROKER_URL", "amqp://u:secret/secret@rabbit//"),
        ("CELERY_BROKER_URL", "sentinel://:secret#@a;sentinel://:secret#@b"),
        ("CELERY_BROKER_URL", "redis+cluster://:secret#@a;redis+cluster://:secret#@b"),
        ("SETTLE_OUTCOME_URL", "rediss+cluster://a;rediss+cluster://:secret/secret@b"),
        ("CELERY_RESULT_BACKEND", "redis+cluster://:secret@redis"),
        ("CELERY_RESULT_BACKEND", "redis://:secret/secret@redis/0"),
        ("SETTLE_OUTCOME_URL", "redis://:12/secret@redis/0"),
        ("DATABASE_URL", "postgresql://u:secret@secret@db/x"),
        ("DATABASE_URL", "postgresql://u:x@h/secret=@db/x"),
        ("DATABASE_URL", "postgresql://u:x@h?secret@db/x"),
        ("SETTLE_RABBITMQ_MANAGEMENT_URL", "secret:15672"),
        ("SETTLE_RABBITMQ_MANAGEMENT_URL", "amqp://u:secret@rabbit"),
        ("SETTLE_RABBITMQ_MANAGEMENT_URL", "http://u:secret/secret@rabbit"),
    ],
)
def test_a_bad_value_is_named_and_not_quoted(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """The error names the variable; the value may be a secret."""
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name) as caught:
        load_settings()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CELERY_BROKER_URL", "redis://u:se@cr et@redis:6379/0"),
        ("SETTLE_OUTCOME_URL", "redis://u@redis:6379/0?password=a@b"),
        ("CELERY_RESULT_BACKEND", "db+postgresql://u:a/b@db/x"),
        ("SETTLE_OUTCOME_URL", "redis://:se;cret@redis/0"),
        ("DATABASE_URL", "postgresql://u:se;cr/e?t#=@db/x?application_name=a@b&connect_timeout=1"),
        ("DATABASE_URL", "postgresql://me@work:secret@db:5432/x"),
        ("DATABASE_URL", "postgresql://me@db/x"),
    ],
)
def test_a_password_that_every_reader_understands_need_not_be_encoded(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """A value that works is not refused for being unusual."""
    monkeypatch.setenv(name, value)
    assert value in load_settings().model_dump().values()


@pytest.mark.parametrize(
    "name", ["CELERY_BROKER_URL", "CELERY_RESULT_BACKEND", "SETTLE_OUTCOME_URL"]
)
def test_a_certificate_is_checked_in_words_that_are_known(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """In redis-py's or in Celery's; any other would be found when the first batch is committed."""
    for known in ("required", "CERT_REQUIRED", "CERT_NONE"):
        monkeypatch.setenv(name, f"rediss://redis?ssl_cert_reqs={known}")
        load_settings()
    monkeypatch.setenv(name, "rediss://redis?ssl_cert_reqs=CERT_SOME")
    with pytest.raises(SettingsError, match=f"{name}: its ssl_cert_reqs must be none"):
        load_settings()


@pytest.mark.parametrize(
    ("url", "fix"),
    [
        ("redis://h/0?socket_timeout=5", "redis:// takes no options behind a `?`"),
        ("redis://h/0?ssl_cert_reqs=none", "redis:// takes no options behind a `?`"),
        ("rediss://h/0?secret=1", "rediss:// takes no options other than ssl_… behind a `?`"),
        ("sentinel://h/0?secret", "sentinel:// takes no options other than ssl_… behind a `?`"),
        (
            "amqps://h//?ssl_cert_reqs=required",
            "amqps:// takes no options other than heartbeat and login_method behind a `?`",
        ),
        ("amqp://a//;amqp://h//?secret=1", "amqp:// takes no options other than heartbeat"),
        ("redis+cluster://h/1", "must name no database: a Redis Cluster has none but 0"),
        ("redis+cluster://h?ssl_cert_reqs=none", "redis+cluster:// takes no options behind a `?`"),
        ("rediss+cluster://a;rediss+cluster://h?secret=1", "other than ssl_… behind a `?`"),
        ("redis://h/secret", "must end with the number of a database"),
        ("redis://h/0/secret", "must end with the number of a database"),
        ("sentinel://h/secret", "must end with the number of a database"),
    ],
)
def test_a_broker_is_not_asked_for_what_a_worker_would_end_of(
    monkeypatch: pytest.MonkeyPatch, url: str, fix: str
) -> None:
    """The variable is named at the start, before kombu finds it out with a traceback."""
    monkeypatch.setenv("SETTLE_OUTCOME_URL", "redis://outcomes")
    monkeypatch.setenv("CELERY_BROKER_URL", url)
    with pytest.raises(SettingsError, match="CELERY_BROKER_URL: ") as caught:
        load_settings()
    assert fix in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "url", "scheme"),
    [
        pytest.param(
            "CELERY_BROKER_URL", "Redis+Cluster://:secret@h", "redis+cluster", id="broker"
        ),
        pytest.param("CELERY_BROKER_URL", "redis+Cluster://h", "redis+cluster", id="behind the +"),
        pytest.param("CELERY_BROKER_URL", "amqp://a;Sqla+x://b", "sqla+x", id="the second of two"),
        pytest.param("CELERY_RESULT_BACKEND", "Redis://h/0", "redis", id="results in Redis"),
        pytest.param("CELERY_RESULT_BACKEND", "Sentinel://h/0", "sentinel", id="of sentinels"),
        pytest.param("CELERY_RESULT_BACKEND", "DB+Sqlite://", "db+sqlite", id="results elsewhere"),
    ],
)
def test_a_scheme_in_capitals_is_refused_where_celery_does_not_know_it(
    monkeypatch: pytest.MonkeyPatch, name: str, url: str, scheme: str
) -> None:
    """It reads the variable by itself, and would end with a traceback."""
    monkeypatch.setenv("SETTLE_OUTCOME_URL", "redis://outcomes")
    monkeypatch.setenv(name, url)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert str(caught.value) == f"{name}: its scheme has capitals: write it as {scheme}://"


@pytest.mark.parametrize("url", ["Redis://h/0", "REDISS://h/0", "AMQP://h", "amqp://a;Amqp://b"])
def test_a_scheme_in_capitals_that_kombu_knows_is_left(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """A scheme means the same in any letters."""
    monkeypatch.setenv("SETTLE_OUTCOME_URL", "redis://outcomes")
    monkeypatch.setenv("CELERY_BROKER_URL", url)
    connect: Any = Connection
    assert connect(load_settings().broker_url).get_transport_cls()


@pytest.mark.parametrize("name", ["CELERY_BROKER_URL", "CELERY_RESULT_BACKEND"])
def test_a_class_of_ones_own_is_left_as_it_is_spelt(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Names of Python have capitals."""
    monkeypatch.setenv("SETTLE_OUTCOME_URL", "redis://outcomes")
    monkeypatch.setenv(name, "my.transports.Mine://h")
    load_settings()


@pytest.mark.parametrize(
    "url",
    [
        "amqps://u:p@h:5671/vhost?heartbeat=10&login_method=EXTERNAL",
        "rediss://h:6379/1?ssl_cert_reqs=none&ssl_ca_certs=/ca.pem",
        *("redis://h", "redis://h/", "redis://h/15", "sqs://?region=eu", "amqp://a//;amqp://b//"),
    ],
)
def test_what_brokers_understand_is_left_to_them(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """An address that works is not refused, nor one of a kind that only kombu knows."""
    monkeypatch.setenv("SETTLE_OUTCOME_URL", "redis://outcomes")
    monkeypatch.setenv("CELERY_BROKER_URL", url)
    assert load_settings().broker_url == url


def test_another_broker_needs_a_result_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outcomes go to Redis, and RabbitMQ is none."""
    monkeypatch.setenv("CELERY_BROKER_URL", "amqp://rabbit")
    with pytest.raises(SettingsError, match="SETTLE_OUTCOME_URL: is required"):
        load_settings()
    monkeypatch.setenv("SETTLE_OUTCOME_URL", "")
    with pytest.raises(SettingsError, match="SETTLE_OUTCOME_URL: is required"):
        load_settings()
    monkeypatch.setenv("SETTLE_OUTCOME_URL", "redis://outcomes")
    assert load_settings().result_channel_url == "redis://outcomes"


# Where settings are read from the environment. The last are made by Celery, which hands
# them none.
ROOTS = {
    "celeryconfig.py",
    "service/connections.py",
    "worker/celery.py",
    *("worker/consumer.py", "worker/seams/stopping.py"),
    *("worker/strategy.py", "worker/watching/step.py"),
    "worker/telling/result_store.py",
}


@pytest.mark.parametrize(
    ("broker", "own", "outcomes", "replicas"),
    [
        pytest.param("redis://redis", None, "0", 0, id="nobody waits"),
        pytest.param("redis://redis", None, "2", 2, id="messages as outcomes"),
        pytest.param("redis://redis", "0", "2", 0, id="outcomes alone"),
        pytest.param("redis+cluster://one", "1", "0", 1, id="messages alone"),
        pytest.param("amqp://rabbit", None, "2", 0, id="RabbitMQ has no such thing"),
        pytest.param("redis+socket:///redis.sock", None, "2", 0, id="kombu cannot wait"),
    ],
)
def test_messages_wait_for_as_many_replicas_as_outcomes(
    monkeypatch: pytest.MonkeyPatch, broker: str, own: str | None, outcomes: str, replicas: int
) -> None:
    """Unless there is another number for them, and where the broker is a Redis that can wait."""
    monkeypatch.setenv("CELERY_BROKER_URL", broker)
    monkeypatch.setenv("SETTLE_OUTCOME_URL", "redis://user:hush@outcomes")
    monkeypatch.setenv("SETTLE_OUTCOME_MIN_REPLICAS", outcomes)
    if own is not None:
        monkeypatch.setenv("SETTLE_BROKER_MIN_REPLICAS", own)
    settings = load_settings()
    assert settings.replicas_of_messages == replicas
    # Of kombu's queue it is no option.
    assert settings.broker_options == ({"min_replicas": replicas} if replicas else {})


@pytest.mark.parametrize("broker", ["amqp://:hush@rabbit", "redis+socket:///redis.sock"])
def test_a_broker_that_cannot_wait_is_not_asked_to(
    monkeypatch: pytest.MonkeyPatch, broker: str
) -> None:
    """It is said at the start, not by the first message."""
    monkeypatch.setenv("CELERY_BROKER_URL", broker)
    monkeypatch.setenv("SETTLE_OUTCOME_URL", "redis://outcomes")
    monkeypatch.setenv("SETTLE_BROKER_MIN_REPLICAS", "1")
    with pytest.raises(SettingsError, match="SETTLE_BROKER_MIN_REPLICAS: ") as caught:
        load_settings()
    assert "hush" not in str(caught.value)


def test_only_roots_read_the_environment() -> None:
    """All else is handed its settings: what a part does can be seen from how it is called."""
    files = [ROOT / "celeryconfig.py"]
    for package in ("cli", "worker", "gateway", "service", "tasks", "db"):
        files += ROOT.joinpath(package).rglob("*.py")
    readers = {
        str(file.relative_to(ROOT))
        for file in files
        if re.search(r"(?<!def )\bload_settings\(\)", file.read_text("utf-8"))
    }
    commands = {file for file in readers if file.startswith("cli/commands/")}
    assert commands
    assert readers - commands == ROOTS


def test_the_page_of_the_settings_is_current() -> None:
    """docs/configuration.md is what `settle config --reference` prints."""
    assert DOCUMENT.read_text(encoding="utf-8") == reference.configuration()


@pytest.mark.parametrize(
    ("said", "groups"),
    [("", ()), ("billing", ("billing",)), (" billing, audit,,", ("billing", "audit"))],
    ids=["none", "one", "some"],
)
def test_groups_are_named_with_commas_between(
    monkeypatch: pytest.MonkeyPatch, said: str, groups: tuple[str, ...]
) -> None:
    """However that looks."""
    monkeypatch.setenv("SETTLE_OUTCOME_KEEP_FOR_GROUPS", said)
    assert load_settings().groups_kept_for == groups


@pytest.mark.parametrize(
    ("broker", "outcomes", "channel"),
    [
        ("sentinel://a;sentinel://b/1", "", "sentinel://a;sentinel://b/1?master_name=the%20one"),
        ("amqp://a", "sentinel://a?ssl_cert_reqs=none", "&master_name=the%20one"),
        ("sentinel://a", "redis://b", "redis://b"),
    ],
    ids=["the broker's", "its own", "a plain one"],
)
def test_a_result_channel_behind_sentinels_says_whom_they_watch(
    monkeypatch: pytest.MonkeyPatch, broker: str, outcomes: str, channel: str
) -> None:
    """So that whoever opens it needs nothing but its URL."""
    monkeypatch.setenv("CELERY_BROKER_URL", broker)
    if outcomes:
        monkeypatch.setenv("SETTLE_OUTCOME_URL", outcomes)
    with pytest.raises(SettingsError, match="SETTLE_SENTINEL_MASTER: is required"):
        load_settings()
    monkeypatch.setenv("SETTLE_SENTINEL_MASTER", "the one")
    settings = load_settings()
    assert settings.result_channel_url.endswith(channel)
    assert settings.channel_is_on_broker is not bool(outcomes)


def test_sentinels_are_told_who_is_there_where_the_settings_say_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They alone; a user without a password is a mistake, and an empty password is none."""
    monkeypatch.setenv("CELERY_BROKER_URL", "sentinel://:theirs@a;sentinel://b")
    monkeypatch.setenv("SETTLE_OUTCOME_URL", "redis://c")
    monkeypatch.setenv("SETTLE_SENTINEL_MASTER", "one")
    monkeypatch.setenv("SETTLE_SENTINEL_USERNAME", "we")
    for password in (None, ""):
        if password is not None:
            monkeypatch.setenv("SETTLE_SENTINEL_PASSWORD", password)
        with pytest.raises(SettingsError, match="SETTLE_SENTINEL_PASSWORD: is required"):
            load_settings()
    monkeypatch.setenv("SETTLE_SENTINEL_PASSWORD", "hush;&")
    settings = load_settings()
    url = "sentinel://:theirs@a;sentinel://b?master_name=one&sentinel_username=we"
    assert settings.named_broker_url == f"{url}&sentinel_password=hush%3B%26"
    assert settings.result_channel_url == "redis://c"
    monkeypatch.setenv("SETTLE_SENTINEL_USERNAME", "")
    monkeypatch.setenv("SETTLE_SENTINEL_PASSWORD", "")
    assert load_settings().named_broker_url.endswith("master_name=one")
