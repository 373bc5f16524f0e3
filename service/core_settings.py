"""Settings of what both doors stand on, and of workers: servers, batches, outcomes, logs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings

from service.address_checks import (
    check_backend,
    check_broker,
    check_channel,
    check_database_url,
    check_http_url,
)


class CoreSettings(BaseSettings):
    """Those that more than one kind of process reads, and a worker's."""

    broker_url: Annotated[str, AfterValidator(check_broker)] = Field(
        default="redis://127.0.0.1:6379/0",
        validation_alias="CELERY_BROKER_URL",
        description="Where messages come from: Redis or Valkey (`redis://`, `rediss://` with TLS, "
        "`sentinel://`, `redis+cluster://`), or RabbitMQ (`amqp://`).",
    )
    sentinel_master: str | None = Field(
        default=None,
        description="The name under which the sentinels know the primary of the broker, of the "
        "result channel and of the result backend; required with a `sentinel://` of any.",
    )
    sentinel_username: str | None = Field(
        default=None,
        description="Who the sentinels are told that we are, if they have users of their own.",
    )
    sentinel_password: SecretStr | None = Field(
        default=None,
        description="The password that the sentinels ask for; that of their servers is in the "
        "URLs.",
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
    read_database_url: Annotated[str, AfterValidator(check_database_url)] | None = Field(
        default=None,
        description="A replica of that database, with streaming replication, from which gateways "
        "read lists of events; a role that may only read will do. Not set: lists are read from "
        "the primary, as they are while there is no replica that is good enough.",
    )
    read_max_lag_seconds: float = Field(
        default=30,
        ge=5,
        le=3_600,
        description="By how many seconds the replica may be behind; lists of a replica that may "
        "be further behind are read from the primary.",
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
        "for the batch to fill. With nothing more to fetch it leaves sooner: at once while no "
        "other is being applied, else when it is full enough to be worth a slot beside them.",
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
    broker_min_replicas: int | None = Field(
        default=None,
        ge=0,
        le=100,
        description="How many replicas of a broker that is Redis must have a message before the "
        "gateway answers 202 for it, or a command calls it sent; without, a failover may lose the "
        "latest. Not set: as many as `SETTLE_OUTCOME_MIN_REPLICAS` says.",
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
