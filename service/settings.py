"""Every setting there is: validated, documented and shown from one schema.

Settings come from the environment. Only roots read them there, with `load_settings`:
the Celery configuration and application, the commands, a pool slot (`service.connections`),
and those parts of a worker that Celery makes itself. Everything else is handed a
`Settings`, or what it needs of one. `tests/unit/service/test_settings.py` has the list.
"""

from __future__ import annotations

from typing import Any

from pydantic import SecretStr, ValidationError, model_validator
from pydantic_settings import SettingsConfigDict

from service.addresses import hide_password, may_hold_outcomes, name_primary, uses_sentinels
from service.core_settings import CoreSettings
from service.door_settings import DoorSettings
from settle_client.redis_server import names_redis


class SettingsError(ValueError):
    """A setting has a value that cannot work."""


# The fields of the first one come last.
class Settings(DoorSettings, CoreSettings):
    """The effective settings of this process."""

    model_config = SettingsConfigDict(env_prefix="SETTLE_", frozen=True, extra="ignore")

    @model_validator(mode="after")
    def _need_a_redis_for_outcomes(self) -> Settings:
        if not self.outcome_url and not may_hold_outcomes(self.broker_url):
            raise ValueError(
                "SETTLE_OUTCOME_URL: is required, because the broker is not Redis: "
                "set it to the Redis that holds the result channel"
            )
        if not may_hold_outcomes(self.result_channel_url):
            name = self.result_channel_variable
            known = "redis://, rediss://, either with +cluster, or sentinel://"
            raise ValueError(f"{name}: must be {known}")
        return self

    @model_validator(mode="after")
    def _need_a_primary(self) -> Settings:
        urls = (self.broker_url, self.outcome_url or "", self.result_backend or "")
        if any(map(uses_sentinels, urls)) and not self.sentinel_master:
            raise ValueError(
                "SETTLE_SENTINEL_MASTER: is required behind sentinels: set it to the name of the "
                "primary that they watch"
            )
        if self.sentinel_username and not self.sentinel_login:
            raise ValueError("SETTLE_SENTINEL_PASSWORD: is required with SETTLE_SENTINEL_USERNAME")
        return self

    @model_validator(mode="after")
    def _need_replicas_of_redis(self) -> Settings:
        if self.broker_min_replicas and not names_redis(self.broker_url):
            raise ValueError(
                "SETTLE_BROKER_MIN_REPLICAS: is for a broker that is Redis, by its host: leave it "
                "out; RabbitMQ confirms what most nodes of a quorum queue have"
            )
        return self

    @property
    def result_channel_url(self) -> str:
        """Return the Redis of the result channel; behind sentinels it says what they are asked."""
        return self._name_primary(self.outcome_url or self.broker_url)

    @property
    def named_broker_url(self) -> str:
        """Return the broker; behind sentinels it says what they are asked."""
        return self._name_primary(self.broker_url)

    @property
    def sentinel_login(self) -> dict[str, str]:
        """Return what sentinels ask for, in redis-py's words."""
        password = self.sentinel_password and self.sentinel_password.get_secret_value()
        login = {"username": self.sentinel_username, "password": password}
        return {word: said for word, said in login.items() if said} if password else {}

    def _name_primary(self, url: str) -> str:
        return name_primary(url, self.sentinel_master, self.sentinel_login)

    @property
    def replicas_of_messages(self) -> int:
        """Return how many replicas of the broker must have a message that is sent."""
        if self.broker_min_replicas is not None:
            return self.broker_min_replicas
        return self.outcome_min_replicas if names_redis(self.broker_url) else 0

    @property
    def broker_options(self) -> dict[str, Any]:
        """Return what a queue of `settle_client.broker` is made with, besides its URL."""
        replicas = self.replicas_of_messages
        return {"min_replicas": replicas} if replicas else {}

    @property
    def channel_is_on_broker(self) -> bool:
        """Return whether the result channel is on the broker's server."""
        return self.outcome_url in (None, self.broker_url)

    @property
    def groups_kept_for(self) -> tuple[str, ...]:
        """Return the consumer groups that are to read every outcome."""
        names = (name.strip() for name in self.outcome_keep_for_groups.split(","))
        return tuple(name for name in names if name)

    @property
    def result_channel_variable(self) -> str:
        """Return the variable that names it."""
        return "SETTLE_OUTCOME_URL" if self.outcome_url else "CELERY_BROKER_URL"


def load_settings() -> Settings:
    """Read the settings from the environment.

    Raises:
        SettingsError: A value cannot work; the text names the variable and
            what it should be, and never quotes the value.
    """
    try:
        return Settings()
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        raise SettingsError("; ".join(_explain(problem) for problem in problems)) from None


def _explain(problem: Any) -> str:
    text = str(problem["msg"]).removeprefix("Value error, ").replace("Input should", "must")
    if not problem["loc"]:
        return text
    return f"{variable(str(problem['loc'][0]))}: {text}"


def variable(name: str) -> str:
    """Return the environment variable of a field, given its name or its alias."""
    field = Settings.model_fields.get(name)
    if field is None:
        return name.upper()
    return str(field.validation_alias or f"SETTLE_{name}".upper())


def effective(settings: Settings) -> dict[str, Any]:
    """Return every environment variable with its value in force, passwords hidden."""
    values = settings.model_dump()
    return {variable(name): _shown(value) for name, value in values.items()}


def _shown(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return "***"
    return hide_password(value) if isinstance(value, str) else value
