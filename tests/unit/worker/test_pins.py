"""What of Celery, billiard and kombu is replaced or reached into is as it was.

A release that changes one of these names fails here, by the name. kombu's Redis
transport has pins of its own in `test_transport.py`, uvicorn's are in
`tests/unit/gateway/test_pins.py`, and the lines of Celery's log in `test_outage.py`.
"""

from __future__ import annotations

import inspect
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import kombu.compression
import kombu.messaging
import pytest
from amqp import method_framing, serialization
from amqp.basic_message import Message as AmqpMessage
from amqp.channel import Channel as AmqpChannel
from amqp.connection import Connection as AmqpConnection
from amqp.transport import _AbstractTransport
from billiard import pool as billiard_pool
from celery import bootsteps, concurrency
from celery.apps import worker as celery_worker
from celery.backends.base import BaseKeyValueStoreBackend
from celery.backends.redis import RedisBackend
from celery.concurrency import prefork, thread
from celery.events.dispatcher import EventDispatcher
from celery.utils.time import utcoffset
from celery.worker import components, control, heartbeat, loops, state
from celery.worker.consumer import Consumer, events
from celery.worker.consumer import tasks as consumer_tasks
from celery.worker.request import Request
from kombu import pidbox
from kombu.asynchronous.hub import Hub
from kombu.transport import native_delayed_delivery as native
from kombu.transport.pyamqp import Message as PyamqpMessage

from worker.seams.delays import NATIVE_DELIVERY, Blueprint

UTCOFFSET = f"utcoffset={utcoffset!r}"
SIGNATURES: list[tuple[Any, str]] = [
    # Overridden by worker.consumer.
    (Consumer.connect, "(self)"),
    (Consumer._update_prefetch_count, "(self, index=0)"),
    (Consumer.reset_rate_limits, "(self)"),
    (Consumer.on_decode_error, "(self, message, exc)"),
    (Consumer.on_close, "(self)"),
    # Called by it, by worker.seams.loop and by the strategy.
    (Consumer.cancel_task_queue, "(self, queue)"),
    (Consumer.call_soon, "(self, p, *args, **kwargs)"),
    (Consumer.perform_pending_operations, "(self)"),
    (Hub.run_once, "(self)"),
    (kombu.messaging.Consumer.consuming_from, "(self, queue)"),
    # Put in place of Celery's own by worker.seams.inspecting.
    (control.active, "(state, safe=False, **kwargs)"),
    (control.reserved, "(state, **kwargs)"),
    (control.query_task, "(state, ids, **kwargs)"),
    # Put in place of py-amqp's own by worker.transport.rabbitmq.properties.
    (serialization.decode_properties_basic, "(buf, offset)"),
    # Replaced on one connection, or called, by worker.transport.rabbitmq.reading.
    (AmqpConnection.blocking_read, "(self, timeout=None)"),
    (_AbstractTransport.having_timeout, "(self, timeout)"),
    (
        AmqpChannel._on_basic_deliver,
        "(self, consumer_tag, delivery_tag, redelivered, exchange, routing_key, msg)",
    ),
    # Overridden or put in place of Celery's and kombu's own by worker.seams.event_dispatcher.
    (
        EventDispatcher._publish,
        f"(self, event, producer, routing_key, retry=False, retry_policy=None, {UTCOFFSET})",
    ),
    (events.Events.start, "(self, c)"),
    (pidbox.Node.reply, "(self, data, exchange, routing_key, ticket, **kwargs)"),
    # Put in place of kombu's own by worker.seams.decompression.
    (kombu.compression.register, "(encoder, decoder, content_type, aliases=None)"),
]

HAS: list[tuple[str, Any, str]] = [
    ("the request that a delay is noted in", Request, "_eta_timer_entry eta revoked info"),
    ("the state that is counted in", state, "revoked total_count all_total_count active_requests"),
    ("the state that a stop is in", state, "should_terminate task_ready task_scheduled"),
    ("what the heartbeat counts", heartbeat, "active_requests"),
    ("what a command is registered with", control, "inspect_command"),
    ("the pools that can be named", concurrency, "ALIASES"),
    ("a job of a prefork pool", billiard_pool.ApplyResult, "_write_to"),
    ("a pool of threads", ThreadPoolExecutor(1), "_max_workers"),
    ("what shows a worker's banner", celery_worker, "safe_say"),
    ("kombu's registry", kombu.compression, "register get_encoder compress"),
    ("the names of kombu's delay queues", native, "MAX_NUMBER_OF_BITS_TO_USE level_name"),
    ("what declares them", native, "declare_native_delayed_delivery_exchanges_and_queues"),
    ("what py-amqp is about to write", AmqpMessage, "_serialize_properties"),
]

# Where a name is made or used, and how it stands there.
SOURCES: list[tuple[Any, str]] = [
    (serialization.GenericContent._load_properties, "PROPERTY_CLASSES[class_id](buf, offset)"),
    (Consumer.__init__, "self.initial_prefetch_count = initial_prefetch_count"),
    (Consumer.__init__, "self.task_buckets = defaultdict("),
    (Consumer.__init__, "self.strategies = self.Strategies()"),
    (Consumer.__init__, "self.hub = hub"),
    (Consumer.__init__, "self.timer = timer"),
    (Consumer.__init__, "self.pool = pool"),
    (Consumer.on_close, "r._eta_timer_entry"),
    # Without a step of Celery's, by worker.seams.delays.
    (Consumer.__init__, "self.blueprint = self.Blueprint("),
    # Confirms are counted, and refusals raise, by worker.transport.rabbitmq.publishing.
    (AmqpChannel._on_basic_ack, "for callback in self.events['basic_ack']:"),
    (AmqpChannel._on_basic_nack, "for callback in self.events['basic_nack']:"),
    (AmqpConnection._on_blocked, "return self.on_blocked(reason)"),
    # What worker.transport.rabbitmq.reading does, or does on, in place of these.
    (AmqpConnection.drain_events, "while not self.blocking_read(timeout):"),
    (AmqpConnection.blocking_read, "return self.on_inbound_frame(frame)"),
    (AmqpConnection.connect, "self.on_inbound_frame = self.frame_handler_cls("),
    (method_framing.frame_handler, "connection.bytes_recv += 1"),
    (method_framing.frame_handler, "frame_type, channel, buf = frame"),
    (_AbstractTransport.read_frame, "self._read_buffer = read_frame_buffer + self._read_buffer"),
    (AmqpChannel._on_basic_deliver, "fun = self.callbacks[consumer_tag]"),
    (AmqpChannel.collect, "channel_id, self.channel_id = self.channel_id, None"),
    (method_framing.frame_writer, "connection.bytes_sent += 1"),
    (PyamqpMessage.__init__, "delivery_info=msg.delivery_info,"),
    # The strategy is made when the channel is there, before the prefetch count is set.
    (
        consumer_tasks.Tasks.start,
        "c.update_strategies()\n\n        qos_global = self.qos_global(c)",
    ),
    (consumer_tasks.Tasks.start, "c.connection.default_channel.basic_qos("),
    (consumer_tasks.Tasks.start, "0, c.initial_prefetch_count, qos_global,"),
    (consumer_tasks.Tasks.start, "c.task_consumer = c.app.amqp.TaskConsumer(\n            c.conn"),
    # What worker.seams.result_backend does for many at once.
    (BaseKeyValueStoreBackend._store_result, "meta['task_id'] = bytes_to_str(task_id)"),
    (BaseKeyValueStoreBackend._store_result, "if current_meta['status'] == states.SUCCESS:"),
    (RedisBackend._set, "pipe.setex(key, expires, value)"),
    (RedisBackend._set, "pipe.publish(key, value)"),
    # What worker.understanding.options decides in its place.
    (Request.revoked, "revoked_by_id = self.id in revoked_tasks"),
    (Request.revoked, "stamped_value in maybe_list(revoked_header)"),
    (Request.maybe_expire, "if now > self.expires:"),
    (loops.asynloop, "on_task_received = obj.create_task_handler()"),
    (loops.asynloop, "consumer.on_message = on_task_received"),
    (loops.synloop, "consumer.on_message = on_task_received"),
    (kombu.messaging.Consumer._receive_callback, "on_m(message) if on_m else"),
    (kombu.messaging.Consumer._receive_callback, "self.on_decode_error(message, exc)"),
    (loops.synloop, "obj.create_task_handler()"),
    (heartbeat.Heart._send, "active=len(active_requests)"),
    (thread.TaskPool.__init__, "self.executor = ThreadPoolExecutor("),
    (billiard_pool.ApplyResult.__init__, "self._accepted = False"),
    (billiard_pool.ApplyResult.__init__, "cache[self._job] = self"),
    (billiard_pool.Pool.__init__, "self._cache = {}"),
    (prefork.TaskPool.on_start, "self._pool = Pool("),
    (EventDispatcher.__init__, "self.producer = None"),
    (EventDispatcher.__init__, "self.delivery_mode = delivery_mode"),
    (EventDispatcher.__init__, "self.headers = {'hostname': self.hostname}"),
    (EventDispatcher.flush, "'%s.multi' % group"),
    (EventDispatcher._publish, "if producer is None:\n            return"),
    (events.Events._close, "self.groups = dispatcher.groups"),
    (loops._enable_amqheartbeats, "if not connection:\n        return"),
    (pidbox.Mailbox._publish_reply, "'ticket': ticket, 'clock': self.clock.forward(),"),
    (pidbox.Mailbox.Node, "return self.node_cls("),
    (bootsteps.Blueprint.close, "self.send_all(parent, 'close', 'closing', reverse=False)"),
    (components.Consumer.create, "c = w.consumer = self.instantiate("),
]


@pytest.mark.parametrize(
    ("function", "signature"), SIGNATURES, ids=[each.__qualname__ for each, _ in SIGNATURES]
)
def test_a_function_has_the_parameters_that_it_had(function: Any, signature: str) -> None:
    """It is overridden, called or replaced here."""
    assert str(inspect.signature(function)) == signature


@pytest.mark.parametrize(("owner", "names"), [each[1:] for each in HAS], ids=[h[0] for h in HAS])
def test_a_name_is_there(owner: Any, names: str) -> None:
    """It is read or set here."""
    assert [name for name in names.split() if not hasattr(owner, name)] == []


@pytest.mark.parametrize(
    ("function", "text"), SOURCES, ids=[f"{each.__qualname__}: {text}" for each, text in SOURCES]
)
def test_celery_still_does_what_is_relied_upon(function: Any, text: str) -> None:
    """An attribute is set there, or a method is called from there."""
    assert text in inspect.getsource(function)


def test_a_consumer_consumes_by_the_default_channel_of_its_connection() -> None:
    """So the strategy, which is made before the consumer, knows the channel."""
    source = inspect.getsource(kombu.messaging.Consumer.__init__)
    assert "self.channel = channel" in source
    assert "self.revive(self.channel)" in source
    source = inspect.getsource(kombu.messaging.Consumer.revive)
    assert "channel = self.channel = maybe_channel(channel)" in source


def test_one_step_of_celerys_consumer_is_left_out() -> None:
    """The one that declares queues which nothing of ours would go through."""
    steps = Consumer.Blueprint.default_steps
    assert NATIVE_DELIVERY in steps
    assert [*Blueprint.default_steps] == [step for step in steps if step != NATIVE_DELIVERY]
