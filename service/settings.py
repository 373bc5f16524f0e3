"""Every setting there is: validated, documented and shown from one schema.

Settings come from the environment. Only roots read them there, with `load_settings`:
the Celery configuration and application, the commands, a pool slot (`service.connections`),
and those parts of a worker that Celery makes itself. Everything else is handed a
`Settings`, or what it needs of one. `tests/unit/service/test_settings.py` has the list.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.address_checks import (
    check_backend,
    check_broker,
    check_channel,
    check_database_url,
    check_http_url,
    check_networks,
)
from service.addresses import hide_password, may_hold_outcomes, name_primary, uses_sentinels


class SettingsError(ValueError):
    """A setting has a value that cannot work."""


class Settings(BaseSettings):
    """The effective settings of this process."""

    model_config = SettingsConfigDict(env_prefix="SETTLE_", frozen=True, extra="ignore")

    broker_url: Annotated[str, AfterValidator(check_broker)] = Field(
        default="redis://127.0.0.1:6379/0",
        validation_alias="CELERY_BROKER_URL",
        description="Where messages come from: Redis or Valkey (`redis://`, `rediss://` with TLS, "
        "`sentinel://`, `redis+cluster://`), or RabbitMQ (`amqp://`).",
    )
    sentinel_master: str | None = Field(
        default=None,
        description="The name under which the sentinels know the primary of the broker, and of the "
        "result channel; required with a `sentinel://` of either.",
    )
    rabbitmq_management_url: Annotated[str, AfterValidator(check_http_url)] | None = Field(
        default=None,
        description="RabbitMQ's management plugin: `http://user:password@host:15672`, of a user "
        "with the tag `monitoring` who may see the virtual host. Only `settle doctor` asks it, "
        "for what AMQP does not show: replicas and policies.",
    )
    result_backend: Annotated[str, AfterValidator(check_backend)] | None = Field(
        default=None,
        validation_alias="CELERY_RESULT_BACKEND",
        description="Celery's result backend, for producers that call `AsyncResult.get()`; not "
        "`rpc://`. Without one, outcomes go to the result channel alone.",
    )
    result_retry_seconds: float = Field(
        default=300,
        ge=1,
        le=86_400,
        description="For how many seconds a worker tries again to store a Celery result, while "
        "the result backend is away; nothing else waits for it. It keeps up to 32 MiB of them.",
    )
    database_url: Annotated[str, AfterValidator(check_database_url)] = Field(
        default="postgresql://127.0.0.1:5432/settle",
        validation_alias="DATABASE_URL",
        description="The PostgreSQL database that holds the events table.",
    )
    outcome_url: Annotated[str, AfterValidator(check_channel)] | None = Field(
        default=None,
        description="The Redis, or Redis Cluster, of the result channel and the dead letters. "
        "By default the broker's; required with a broker that is not Redis.",
    )
    batch_max_updates: int = Field(
        default=1_000,
        ge=1,
        le=100_000,
        description="A batch leaves when it holds this many updates.",
    )
    batch_max_wait_seconds: float = Field(
        default=0.05,
        gt=0,
        le=60,
        description="A batch leaves when its oldest update has waited this long, in seconds, "
        "for the batch to fill. With a slot free and nothing more to fetch it leaves at once.",
    )
    message_max_updates: int = Field(
        default=1_000,
        ge=1,
        le=100_000,
        description="How many updates one message, or request, may carry; a larger one is refused.",
    )
    outcome_stream_max_length: int = Field(
        default=1_000_000,
        ge=1,
        description="Entries kept in the `event-outcomes` stream, approximately. "
        "About 400 bytes of Redis memory each.",
    )
    outcome_keep_for_groups: str = Field(
        default="",
        description="Consumer groups, with commas between them, that are to read every outcome: "
        "settlement is held back rather than that one is trimmed which they have not acknowledged. "
        "A group that is not there yet has read nothing.",
    )
    outcome_min_replicas: int = Field(
        default=0,
        ge=0,
        le=100,
        description="How many replicas of the result channel's Redis must have an outcome before "
        "its message is acknowledged; without, a failover may lose the latest.",
    )
    outcome_payload: bool = Field(
        default=False,
        description="Put the event's payload into the outcomes on the result channel.",
    )
    statement_timeout_seconds: float = Field(
        default=30,
        gt=0,
        le=3_600,
        description="After how many seconds PostgreSQL gives a batch's statement up; the batch "
        "is then tried again. A request over HTTP is answered 503 after twice as long at most.",
    )
    lock_timeout_seconds: float = Field(
        default=10,
        gt=0,
        le=3_600,
        description="How many seconds a batch waits for a row that another session has locked; "
        "the batch is then tried again, or its requests over HTTP are answered 503.",
    )
    lease_seconds: float = Field(
        default=30,
        ge=1,
        le=3_600,
        description="On Redis: after how many seconds without a sign of life a worker's messages "
        "are given to another. A living worker renews its leases.",
    )
    retry_max_wait_seconds: float = Field(
        default=10,
        gt=0,
        le=600,
        description="The longest pause, in seconds, between two tries of a batch "
        "while PostgreSQL or Redis is away.",
    )
    dead_letter_max_share: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="When more than this share of the latest thousand messages is not valid, the "
        "worker stops consuming instead of making dead letters of a whole queue; 1 never stops.",
    )
    task_events: bool = Field(
        default=True,
        description="Show Flower and other monitors what becomes of every message, when they "
        "ask for it or the worker was started with `-E`.",
    )
    stop_timeout_seconds: float = Field(
        default=20,
        gt=0,
        le=3_600,
        description="How many seconds a worker or a gateway that is asked to stop takes to finish "
        "what it holds; a worker gives the rest back. Keep it under the supervisor's grace period.",
    )

    log_format: Literal["auto", "human", "json"] = Field(
        default="auto",
        description="How workers, gateways and `settle webhooks` write their log: `human`, one "
        "JSON object a line (`json`), or for humans on a terminal and as JSON elsewhere (`auto`).",
    )
    metrics_port: int = Field(
        default=0,
        ge=0,
        le=65_535,
        description="The port on which a worker serves `/metrics`, `/livez` and `/readyz`, and "
        "`settle webhooks` the first two; 0 for none. Each process on a machine needs its own, and "
        "does not start if it is taken.",
    )
    metrics_host: str = Field(
        default="127.0.0.1",
        description="The address on which it does; `0.0.0.0` for all of IPv4.",
    )
    health_file: str | None = Field(
        default=None,
        description="The file in which a worker says how it is, for `settle health`. By default "
        "one named after its user, its broker and its node name, in the temporary directory.",
    )

    gateway_host: str = Field(
        default="127.0.0.1",
        description="The address on which `settle gateway` listens. Anything but loopback needs "
        "API keys.",
    )
    gateway_port: int = Field(
        default=8_000,
        ge=1,
        le=65_535,
        description="The port on which it does.",
    )
    gateway_keys_file: str | None = Field(
        default=None,
        description="The TOML file with the API keys of the gateway, hashed, and the accounts of "
        "each; see `settle gateway new-key`. It is read again when it changes.",
    )
    gateway_body_max_bytes: int = Field(
        default=8 * 2**20,
        ge=1_024,
        le=2**30,
        description="How large the body of a request to the gateway may be, in bytes.",
    )
    gateway_requests_per_second: int | None = Field(
        default=None,
        ge=1,
        le=10**9,
        description="How many requests a second gateways take with each name of an API key, all "
        "of them together; the file of keys may say otherwise of a key. Not set: as many as come.",
    )
    gateway_updates_per_second: int | None = Field(
        default=None,
        ge=1,
        le=10**9,
        description="How many updates, and events to create, gateways take a second for each "
        "account, all of them together, with whichever keys; the file of keys may say otherwise "
        "of an account. Not set: as many as come.",
    )

    webhooks_file: str | None = Field(
        default=None,
        description="The TOML file with the endpoints that outcomes are pushed to by "
        "`settle webhooks`, and their secrets; see `settle webhooks new-endpoint`. It is read "
        "again when it changes.",
    )
    webhooks_allowed_networks: Annotated[str, AfterValidator(check_networks)] = Field(
        default="",
        description="Networks, with commas between them, to which outcomes may be pushed though "
        "they are not public, and without TLS: `10.1.0.0/16, fd00::/8`.",
    )
    webhooks_timeout_seconds: float = Field(
        default=15,
        ge=0.1,
        le=60,
        description="How many seconds an endpoint may take for a request, from the look-up of its "
        "name on.",
    )
    webhooks_retry_max_wait_seconds: float = Field(
        default=3_600,
        gt=0,
        le=86_400,
        description="The longest pause, in seconds, between two tries at an endpoint that fails. "
        "Each is drawn at random below a limit, which begins at 1 second and doubles.",
    )
    webhooks_disable_after_days: float = Field(
        default=5,
        gt=0,
        le=365,
        description="After how many days without a request that it took an endpoint is disabled, "
        "until `settle webhooks enable`.",
    )
    webhooks_queue_max_length: int = Field(
        default=100_000,
        ge=1,
        le=10_000_000,
        description="How many outcomes wait for one endpoint at most; the oldest beyond that are "
        "set aside, of which as many are kept. About 400 bytes of Redis memory each.",
    )
    webhooks_max_requests: int = Field(
        default=64,
        ge=1,
        le=1_000,
        description="To how many endpoints one process of `settle webhooks` sends at the same "
        "time; half of that at most to endpoints that failed last.",
    )

    page_host: str = Field(
        default="127.0.0.1",
        description="The address on which `settle page` listens. Anything but loopback needs a "
        "key.",
    )
    page_port: int = Field(
        default=8_001,
        ge=1,
        le=65_535,
        description="The port on which it does.",
    )
    page_key: SecretStr | None = Field(
        default=None,
        min_length=16,
        description="What the page asks for before it shows or does anything, 16 characters at "
        "least: draw it with `openssl rand -hex 32`. Not set: it serves this machine alone.",
    )

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
        behind = uses_sentinels(self.broker_url) or uses_sentinels(self.outcome_url or "")
        if behind and not self.sentinel_master:
            raise ValueError(
                "SETTLE_SENTINEL_MASTER: is required behind sentinels: set it to the name of the "
                "primary that they watch"
            )
        return self

    @property
    def result_channel_url(self) -> str:
        """Return the Redis of the result channel; behind sentinels it says whom they watch."""
        return name_primary(self.outcome_url or self.broker_url, self.sentinel_master)

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
