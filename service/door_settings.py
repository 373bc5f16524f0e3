"""Settings of the doors that speak HTTP: the gateway, webhooks, and the operators' page."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings

from service.address_checks import check_networks


class DoorSettings(BaseSettings):
    """Those that one kind of process reads, which its name begins with."""

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
