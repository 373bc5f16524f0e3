"""The wiring: settings to Celery's own keys, and nothing else."""

from typing import Any

from kombu.entity import Exchange, Queue

from service.addresses import is_amqp, is_redis, uses_sentinels
from service.settings import load_settings
from settle_client.names import QUEUE, TASK

_settings = load_settings()

broker_url = _settings.broker_url
result_backend = _settings.result_backend
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

_queue: Any = Queue
_exchange: Any = Exchange
_QUORUM = {"x-queue-type": "quorum"}

broker_transport_options: dict[str, Any]
if is_amqp(_settings.broker_url):
    # Replicated, and counts deliveries. No other arguments: producers declare it too.
    task_queues = [_queue(QUEUE, _exchange(QUEUE), QUEUE, queue_arguments=_QUORUM)]
    broker_transport_options = {"confirm_publish": True}
    broker_heartbeat = 30
elif is_redis(_settings.broker_url) or uses_sentinels(_settings.broker_url):
    broker_transport_options = {
        "visibility_timeout": _settings.lease_seconds,
        # Without these a link that died silently hangs the worker.
        "socket_timeout": 10,
        "socket_connect_timeout": 3,
        "socket_keepalive": True,
        "health_check_interval": 5,
        "master_name": _settings.sentinel_master,
    }
