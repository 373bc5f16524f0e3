"""Every metric of the gateway, in one list; each is written by one module."""

from __future__ import annotations

from typing import Final

from gateway.access.terms import POLICIES
from service.catalogue import BUCKETS_OF_SECONDS, BUCKETS_OF_UPDATES, OUTCOMES, Catalogue

CATALOGUE: Final = Catalogue()

STATUSES: Final = (
    *("200", "202", "400", "401", "403", "404", "405", "409", "410", "413", "415", "429"),
    *("499", "500", "503", "other"),
)
# Of the contract, by their ids; others are of no operation.
OPERATIONS: Final = (
    *("settleEvents", "settleEvent", "createEvents", "listEvents", "getEvent"),
    *("listOutcomes", "getMessage"),
    "other",
)

# -- written by gateway.counting, around each request ------------------------------------

REQUESTS = CATALOGUE.counter(
    "settle_gateway_requests_total",
    "Requests of clients answered, by operation and status; 499: the client had left, or was too "
    "slow.",
    operation=OPERATIONS,
    status=STATUSES,
)
REQUEST_SECONDS = CATALOGUE.histogram(
    "settle_gateway_request_seconds",
    "Seconds from the head of a request to the end of its answer, by operation.",
    BUCKETS_OF_SECONDS,
    operation=OPERATIONS,
)
REQUESTS_OPEN = CATALOGUE.gauge(
    "settle_gateway_requests_open",
    "Requests that are not answered yet.",
)

# -- written by gateway.access ------------------------------------------------------------

LIMITED = CATALOGUE.counter(
    "settle_gateway_limited_requests_total",
    "Requests answered 429, by the limit that was reached.",
    policy=POLICIES,
)
LIMITED_ALONE = CATALOGUE.counter(
    "settle_gateway_limits_not_shared_total",
    "How often a request was held to limits by what this process alone has seen, because the "
    "Redis that gateways share did not answer.",
)

# -- written by gateway.events.settling, when a batch is published ------------------------------

UPDATES_ANSWERED = CATALOGUE.counter(
    "settle_gateway_updates_total",
    "Updates settled, by outcome: it is published, and about to be answered.",
    outcome=OUTCOMES,
)
UPDATES_TOGETHER = CATALOGUE.histogram(
    "settle_gateway_batch_updates",
    "Updates in a batch: requests that come while others are applied share the next one.",
    BUCKETS_OF_UPDATES,
)

# -- written by gateway.events.publishing -------------------------------------------------------

UNPUBLISHED = CATALOGUE.gauge(
    "settle_gateway_unpublished_outcomes",
    "Outcomes of committed updates that wait for the result channel; nothing new is applied.",
)

# -- written by gateway.events.reading and following --------------------------------------------

LISTS = CATALOGUE.counter(
    "settle_gateway_lists_total",
    "Lists of events answered, by where they were read.",
    server=("primary", "replica"),
)
REPLICA_LAG_SECONDS = CATALOGUE.gauge(
    "settle_gateway_replica_lag_seconds",
    "By how many seconds the replica that lists are read from is behind at most, to a second or "
    "two; NaN while it is not read from, 0 if there is none.",
)

# -- written by gateway.outcomes.hub --------------------------------------------------------

LISTENERS = CATALOGUE.gauge(
    "settle_gateway_listeners",
    "Requests that listen for outcomes: streams of events, and pages that wait.",
)
LAG_SECONDS = CATALOGUE.gauge(
    "settle_gateway_listening_lag_seconds",
    "Seconds from the publication of the outcomes that were read last for listeners to that.",
)
CUT = CATALOGUE.counter(
    "settle_gateway_listeners_cut_total",
    "Listeners let go because they took outcomes too slowly; they may go on from where they were.",
)
TRIMMED = CATALOGUE.counter(
    "settle_gateway_listening_gaps_total",
    "How often outcomes were trimmed from the stream before they were read for listeners.",
)
