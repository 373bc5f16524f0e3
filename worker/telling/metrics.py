"""Every metric of a worker, in one list: its name, its labels and their values, what it says.

They are about one worker and are observed in its main process, where slots
report to, whatever the pool. Each is written by one module. Where they can be had
is `service.exposition`'s.
"""

from __future__ import annotations

from typing import Final

from service.catalogue import BUCKETS_OF_SECONDS, BUCKETS_OF_UPDATES, OUTCOMES, Catalogue

CATALOGUE: Final = Catalogue()
REGISTRY: Final = CATALOGUE.registry

PATHS: Final = ("plain", "other")
WHYS: Final = ("size", "slot", "age", "stop")
STEPS: Final = ("waiting", "applying", "publishing", "acknowledging")

_LATENCY_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3_600)

# -- written by worker.telling.measuring, when a batch is fetched, tried or settled ----------

MESSAGES = CATALOGUE.counter(
    "settle_messages_fetched_total",
    "Messages fetched: `plain` ones are read straight from the queue of Redis, "
    "`other` ones by way of kombu and Celery, which costs several times as much.",
    path=PATHS,
)
UPDATES = CATALOGUE.counter(
    "settle_updates_total",
    "Updates settled, by outcome: it is published, and the message acknowledged.",
    outcome=OUTCOMES,
)
DEAD_LETTERS = CATALOGUE.counter(
    "settle_dead_letters_total",
    "Updates and messages set aside as dead letters.",
)
BATCHES = CATALOGUE.counter(
    "settle_batches_total",
    "Batches settled, by why they left: full, a slot was free, of age, or the worker stopped.",
    why=WHYS,
)
BATCH_UPDATES = CATALOGUE.histogram(
    "settle_batch_updates", "Updates in a settled batch.", BUCKETS_OF_UPDATES
)
STEP_SECONDS = CATALOGUE.histogram(
    "settle_batch_step_seconds",
    "Seconds of a settled batch, by step; of the try that succeeded.",
    BUCKETS_OF_SECONDS,
    step=STEPS,
)
LATENCY_SECONDS = CATALOGUE.histogram(
    "settle_latency_seconds",
    "Seconds from sending a message to its published outcomes: of one message a batch, the one "
    "that waited longest, if it has the header `sent_at` and was not delayed by its sender. "
    "As good as the clocks of both machines agree.",
    _LATENCY_SECONDS,
)
BATCHES_RETRIED = CATALOGUE.counter(
    "settle_batches_retried_total",
    "Tries of a batch that failed and are repeated in its slot, because a server is away.",
)
BATCHES_GIVEN_BACK = CATALOGUE.counter(
    "settle_batches_given_back_total",
    "Batches that went back to the queue: an error to see to, a stop, or a slot that was lost.",
)
BREAKER_TRIPS = CATALOGUE.counter(
    "settle_breaker_trips_total",
    "Times that consuming stopped because too many messages were not valid.",
)

# -- written by worker.telling.measuring, when the transport has looked after leases ----------

MESSAGES_RESTORED = CATALOGUE.counter(
    "settle_messages_restored_total",
    "Messages of workers that went away, put back into the queue by this one. Redis only.",
)
LEASES_RENEWED = CATALOGUE.counter(
    "settle_leases_renewed_total",
    "Leases of held messages renewed. Redis only.",
)

# -- written by worker.watching.gauges: looked up when somebody asks ----------------------

HELD_MESSAGES = CATALOGUE.gauge(
    "settle_held_messages",
    "Messages held, by where they are.",
    where=("waiting", "slots"),
)
HELD_UPDATES = CATALOGUE.gauge(
    "settle_held_updates",
    "Updates held, by where they are.",
    where=("waiting", "slots"),
)
SLOTS = CATALOGUE.gauge("settle_slots", "Batches that can be applied at once.")
SLOTS_TAKEN = CATALOGUE.gauge(
    "settle_slots_taken",
    "Slots that have a batch, be it applied or held until a server is back.",
)
LIVE = CATALOGUE.gauge("settle_live", "1 if the worker is not stuck, else 0; as `/livez` says.")
READY = CATALOGUE.gauge(
    "settle_ready", "1 if the worker settles updates, else 0; as `/readyz` says."
)
BREAKER_TRIPPED = CATALOGUE.gauge(
    "settle_breaker_tripped",
    "1 while nothing is consumed because too many messages were not valid, else 0.",
)
SERVER_UP = CATALOGUE.gauge(
    "settle_server_up",
    "1 if a server answered this worker when it was last asked, else 0.",
    server=("database", "result_channel", "broker"),
)

# -- written by worker.watching.sampling, every few seconds -----------------------------------

QUEUE_MESSAGES = CATALOGUE.gauge(
    "settle_queue_messages",
    "Messages waiting in the queue, of all priorities. The same from every worker; NaN if unknown.",
)
QUEUE_DELAYED = CATALOGUE.gauge(
    "settle_queue_delayed_messages",
    "Messages that the broker holds until their time has come (`eta`, `countdown`); they are not "
    "counted as waiting. The same from every worker; NaN if unknown.",
)
QUEUE_AGE_SECONDS = CATALOGUE.gauge(
    "settle_queue_oldest_age_seconds",
    "Seconds since the oldest waiting message was sent, 0 if none waits. Redis only; NaN if its "
    "producer does not say (header `sent_at`).",
)
DEAD_LETTERS_KEPT = CATALOGUE.gauge(
    "settle_dead_letters_kept",
    "Dead letters that nobody has seen to. The same from every worker; NaN if unknown.",
)
OUTCOMES_UNREAD = CATALOGUE.gauge(
    "settle_outcomes_unread",
    "Outcomes that the consumer group furthest behind has not read, of those that are kept. "
    "The same from every worker; NaN if unknown.",
)
OUTCOMES_GONE = CATALOGUE.gauge(
    "settle_outcomes_gone",
    "Outcomes that were trimmed before a consumer group had read them, of all groups, until each "
    "reads on. The same from every worker; NaN if unknown, as on Redis 6.2.",
)
