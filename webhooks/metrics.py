"""Every metric of `settle webhooks`, in one list; each is written by one module."""

from __future__ import annotations

from typing import Final

from service.catalogue import BUCKETS_OF_SECONDS, Catalogue

CATALOGUE: Final = Catalogue()

ANSWERS: Final = ("2xx", "3xx", "4xx", "5xx", "none")

# -- written by webhooks.routing ---------------------------------------------------------

ROUTED = CATALOGUE.counter(
    "settle_webhooks_routed_total",
    "Outcomes put into queues of endpoints by this process; once for each endpoint.",
)
GONE = CATALOGUE.counter(
    "settle_webhooks_gone_total",
    "Outcomes that were trimmed from the stream before they could be put into queues.",
)

# -- written by webhooks.delivering ------------------------------------------------------

REQUESTS = CATALOGUE.counter(
    "settle_webhooks_requests_total",
    "Requests to endpoints, by the kind of answer; `none`: no connection, or no answer in time.",
    answer=ANSWERS,
)
REQUEST_SECONDS = CATALOGUE.histogram(
    "settle_webhooks_request_seconds",
    "Seconds that a request to an endpoint took.",
    BUCKETS_OF_SECONDS,
)
DELIVERED = CATALOGUE.counter(
    "settle_webhooks_delivered_total",
    "Outcomes that an endpoint has taken.",
)
DISABLED_NOW = CATALOGUE.counter(
    "settle_webhooks_disabled_total",
    "Endpoints that this process has disabled.",
)
SET_ASIDE = CATALOGUE.counter(
    "settle_webhooks_set_aside_total",
    "Outcomes set aside: refused by an endpoint that takes others, or more than there is room for.",
    why=("refused", "overflow"),
)

# -- written by webhooks.sampling, of all processes --------------------------------------

ENDPOINTS = CATALOGUE.gauge(
    "settle_webhooks_endpoints",
    "Endpoints, by how they stand; the same from each process.",
    state=("delivering", "failing", "disabled"),
)
WAITING = CATALOGUE.gauge(
    "settle_webhooks_waiting",
    "Outcomes that wait for their endpoints; the same from each process.",
)
KEPT = CATALOGUE.gauge(
    "settle_webhooks_kept",
    "Outcomes set aside, for a person to look at; the same from each process.",
)
OLDEST_SECONDS = CATALOGUE.gauge(
    "settle_webhooks_oldest_seconds",
    "For how long the oldest outcome waits of an endpoint that is not disabled.",
)
