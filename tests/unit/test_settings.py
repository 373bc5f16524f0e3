"""Settings: their values, their errors, their page."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli import reference
from service.addresses import hide_password
from service.settings import SettingsError, effective, load_settings

DOCUMENT = Path(__file__).parents[2] / "docs" / "configuration.md"


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
        ("SETTLE_OUTCOME_URL", "secret"),
        ("SETTLE_OUTCOME_URL", "amqp://:secret@rabbit"),
        ("SETTLE_OUTCOME_URL", "redis://:secret/1@redis:6379/0"),
        ("CELERY_BROKER_URL", "redis://redis:secret/0"),
        ("CELERY_BROKER_URL", "redis://[secret"),
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


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:secret@host:6379/0", "redis://:***@host:6379/0"),
        ("postgresql://user:secret@host/db", "postgresql://user:***@host/db"),
        ("amqp://u:secret@a//;amqp://u:secret@b//", "amqp://u:***@a//;amqp://u:***@b//"),
        ("nonsense", "nonsense"),
        ("redis://:se/cr#et@host:6379/0", "redis://:***@host:6379/0"),
        ("redis://:se@cret@host:6379/0", "redis://:***@host:6379/0"),
        ("postgresql:///db?host=/run&password=secret", "postgresql:///db?host=/run&password=***"),
    ],
)
def test_passwords_are_hidden(url: str, shown: str) -> None:
    """Everything else of a URL is shown."""
    assert hide_password(url) == shown


def test_the_page_of_the_settings_is_current() -> None:
    """docs/configuration.md is what `settle config --reference` prints."""
    assert DOCUMENT.read_text(encoding="utf-8") == reference.configuration()
