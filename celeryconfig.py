"""The wiring: settings to Celery's own keys, and nothing else."""

from typing import Any

from kombu.entity import Exchange, Queue

from service.sentinels import sentinel_options
from service.settings import load_settings
from settle_client.names import QUEUE, TASK
from worker.transport.broker import broker_of

_settings = load_settings()

broker_url = _settings.broker_url
result_backend = _settings.result_backend
redis_socket_timeout = 10.0
redis_socket_connect_timeout = 3.0
result_backend_transport_options = {
    # A result is tried again by `worker.telling.result_store`, which is to find out soon.
    "retry_policy": {"max_retries": 0},
    # Of sentinels.
    "master_name": _settings.sentinel_master,
    "sentinel_kwargs": sentinel_options(_settings),
}
imports = ("tasks.status_updates",)

# JSON in, JSON out.
accept_content = ["json"]
task_serializer = "json"
result_serializer = "json"
event_serializer = "json"

task_default_queue = QUEUE
task_annotations = {
    TASK: {"Strategy": "worker.strategy:BatchStrategy", "service": "service.connections:service"}
}
worker_consumer = "worker.consumer:Consumer"

# No `worker_pool`: Celery would prefer it to a `--pool prefork`. The default is threads all the
# same, by `worker.seams.thread`.
worker_concurrency = 3
# A batch in every slot, and the next ones filling meanwhile.
worker_prefetch_multiplier = 2 * _settings.batch_max_updates
worker_enable_prefetch_count_reduction = False

# Acknowledged when committed and published, never before, never for having failed.
task_acks_late = True
task_acks_on_failure = False
task_acks_on_timeout = False
task_reject_on_worker_lost = True

# A broker that is away is waited for.
broker_connection_retry_on_startup = True
broker_connection_max_retries = None
broker_channel_error_retry = True
# Says nothing to a strategy, whose slots finish what they have; silences a warning.
worker_cancel_long_running_tasks_on_connection_loss = True

# What differs from broker to broker is the broker's own to know.
_broker = broker_of(_settings.broker_url)
_queue: Any = Queue
_exchange: Any = Exchange
task_queues = [_queue(QUEUE, _exchange(QUEUE), QUEUE, queue_arguments=_broker.queue_arguments)]
broker_transport_options = _broker.transport_options(_settings)
broker_heartbeat = 30
