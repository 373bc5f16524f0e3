"""The pure parts of the transport, and what of kombu it builds on."""

from __future__ import annotations

import inspect
import json
from typing import Any
from uuid import UUID

import kombu.transport
import pytest
from kombu.asynchronous.hub import Hub
from kombu.connection import Connection
from kombu.transport import redis as stock
from kombu.transport import virtual

from tasks.density import MAX_VALUES
from worker.transport.delivery import DELIVERY_COUNT, MAX_ITEM_BYTES
from worker.transport.redis import SentinelTransport, Transport, install
from worker.transport.redis.channel import Channel
from worker.transport.redis.fetch import Fetch, Pace, Source, script_command
from worker.transport.redis.items import (
    Entry,
    NotAMessageError,
    delivery_count,
    entry_tail,
    headers_of,
    read_entry,
    read_item,
    redelivered,
    salvage,
    was_with_a_dead_worker,
)
from worker.transport.redis.leases import QoS
from worker.transport.redis.scripts import MORE, NOTHING, SUSPECTS
from worker.transport.redis.transport import ALIASES, SentinelChannel

MESSAGE = {
    "body": "e30=",
    "headers": {"id": "m1"},
    "properties": {"delivery_tag": "t", "delivery_info": {"routing_key": "q"}},
}


def item(**changed: Any) -> bytes:
    return json.dumps({**MESSAGE, **changed}).encode()


# -- items ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        pytest.param(b"\xff\xfe", "not JSON", id="bytes"),
        pytest.param(b"hello", "not JSON", id="text"),
        pytest.param(b"[" * 100_000, "not JSON", id="too deep"),
        pytest.param(b"42", "not an object", id="number"),
        pytest.param(b"{}", "no properties", id="empty"),
        pytest.param(item(properties=[]), "no properties", id="properties are a list"),
        pytest.param(item(properties={}), "no delivery tag", id="no tag"),
        pytest.param(item(headers=[1]), "headers", id="headers are a list"),
        pytest.param(
            item(properties={"delivery_tag": "t", "delivery_info": 1}), "delivery_info", id="info"
        ),
    ],
)
def test_what_is_not_a_message_is_singled_out(raw: bytes, reason: str) -> None:
    """An item that is not a kombu message is refused with a reason."""
    with pytest.raises(NotAMessageError, match=reason):
        read_item(raw)


@pytest.mark.parametrize(
    "queue",
    ["q", 'a "quoted", queue', "back\\slash", "käse", "q\x06\x163"],
    ids=["plain", "quotes", "backslash", "umlaut", "priority"],
)
def test_an_entry_is_taken_apart_to_the_byte(queue: str) -> None:
    """What the fetch records is read back, whatever the item is."""
    for raw in (item(), b"not JSON", b'","",""]', b"\xff", b""):
        value = b"[" + raw + entry_tail(queue).encode()
        assert read_entry(value) == Entry(raw, "", queue)


def test_a_stock_entry_is_taken_apart() -> None:
    """An entry that kombu's own transport wrote is understood."""
    entry = read_entry(json.dumps([MESSAGE, "exchange", "key"]).encode())
    assert entry is not None
    assert (json.loads(entry.item), *entry[1:]) == (MESSAGE, "exchange", "key")
    assert read_entry(b"something else") is None


def test_an_entry_is_what_stock_reads() -> None:
    """What the fetch records is the JSON that kombu expects there."""
    value = b"[" + item() + entry_tail('a "queue"').encode()
    assert json.loads(value) == [MESSAGE, "", 'a "queue"']


def test_a_failed_delivery_is_counted() -> None:
    """A message counts the workers that went away with it, and says that it comes again."""
    raw = item()
    for count in (1, 2):
        raw, message = redelivered(raw, deaths=1)
        assert delivery_count(message) == count
    assert json.loads(raw) == message
    assert message["headers"] == {"id": "m1", "redelivered": True, DELIVERY_COUNT: 2}
    assert message["properties"]["delivery_info"] == {"routing_key": "q", "redelivered": True}


def test_a_message_given_back_is_not_counted() -> None:
    """A worker that stops in good order is no failure of its messages."""
    assert delivery_count(redelivered(item(), deaths=None)[1]) == 0
    assert redelivered(item(headers=None), deaths=None)[1]["headers"] == {"redelivered": True}


def test_what_was_with_a_dead_worker_says_so_first() -> None:
    """Also if no death was its own, and also when a living worker gives it back."""
    waited, _ = redelivered(item(), deaths=0)
    again, _ = redelivered(waited, deaths=None)
    assert was_with_a_dead_worker(waited)
    assert was_with_a_dead_worker(again)
    assert not was_with_a_dead_worker(item())
    assert not was_with_a_dead_worker(redelivered(item(), deaths=None)[0])


def test_what_is_not_a_message_goes_back_as_it_is() -> None:
    """Restoring does not touch what it does not understand."""
    assert redelivered(b"not JSON", deaths=1) == (b"not JSON", {})


@pytest.mark.parametrize(
    ("raw", "parts"),
    [
        pytest.param(item(), (MESSAGE["headers"], MESSAGE["properties"]), id="a message"),
        pytest.param(b'{"headers": 1, "properties": []}', ({}, {}), id="others"),
        pytest.param(b"{}", ({}, {}), id="none"),
        pytest.param(b"[1]", ({}, {}), id="no object"),
        pytest.param(b'{"headers": {"id": "m"}', ({}, {}), id="cut"),
        pytest.param(item(body="x" * MAX_ITEM_BYTES), ({}, {}), id="too large"),
    ],
)
def test_what_can_be_read_of_anything_is(raw: bytes, parts: tuple[Any, Any]) -> None:
    """Its headers and properties, where it has such."""
    assert salvage(raw) == parts


@pytest.mark.parametrize("count", ["7", None, True, 1.5], ids=repr)
def test_a_strange_count_is_none(count: Any) -> None:
    """A producer's own header of that name does no harm."""
    assert delivery_count({"headers": {DELIVERY_COUNT: count}}) == 0


MARKED = {"__type__": "uuid", "__value__": {"hex": "0192f3a47c1e7abc8def0123456789ab"}}
OLD_MARK = {"__type__": "uuid", "__value__": {**MARKED["__value__"], "version": 7}}  # type: ignore[dict-item]


@pytest.mark.parametrize("mark", [MARKED, OLD_MARK], ids=["now", "as kombu 5.3 wrote it"])
def test_a_message_id_may_be_a_uuid(mark: Any) -> None:
    """Celery takes one where a task id is asked for, and kombu's JSON marks it."""
    item = {"headers": {"id": mark, "task": "t"}, "properties": {"delivery_tag": "tag"}}
    assert read_item(json.dumps(item).encode())["headers"]["id"] == str(
        UUID("0192f3a47c1e7abc8def0123456789ab")
    )


@pytest.mark.parametrize(
    "mark",
    [OLD_MARK, {"__type__": "date", "__value__": "garbage"}, {"__type__": "x", "__value__": 5}],
    ids=["another kombu's", "garbage", "unknown"],
)
def test_a_header_that_looks_like_a_mark_of_kombus_is_left_as_it_is(mark: Any) -> None:
    """Nobody may ask for it."""
    item = {"headers": {"id": "m", "other": mark}, "properties": {"delivery_tag": "tag"}}
    assert read_item(json.dumps(item).encode())["headers"]["other"] == mark


def dense(**parts: str) -> bytes:
    """Write an item with very many values in some of its parts."""
    many = "[" + "[]," * MAX_VALUES + "[]]"
    texts = {"headers": '{"id": "m", "task": "t"}', "body": '"[]"', **parts}
    written = ", ".join(f'"{name}": {text}' for name, text in texts.items()).replace("MANY", many)
    return f'{{{written}, "properties": {{"delivery_tag": "tag"}}}}'.encode()


@pytest.mark.parametrize(
    "item",
    [
        pytest.param(dense(headers='{"id": "m", "other": MANY}'), id="headers"),
        pytest.param(dense(headers='{"id": "m", "odd": NaN, "other": MANY}'), id="odd headers"),
    ],
)
def test_headers_do_not_take_far_more_than_their_text(item: bytes) -> None:
    """Two bytes may be a list, which takes thirty times that."""
    with pytest.raises(NotAMessageError, match="may have more than 500,000 values"):
        read_item(item)
    assert salvage(item) == ({}, {})
    assert headers_of(item) == {}


def test_a_body_in_clear_is_a_text_however_much_is_in_it() -> None:
    """Not every client writes it in base 64."""
    assert read_item(dense(body='"MANY"'))["headers"]["id"] == "m"


# -- fetches -------------------------------------------------------------------

FETCH = Fetch(
    suspects=[Source("q.retry", "q", ',"","q"]')],
    ready=[Source("q", "q", ',"","q"]'), Source("reply", "reply", "")],
    tag_prefix="tag-",
)


def test_a_fetch_says_where_everything_came_from() -> None:
    """Items are matched to their lists, and to the tags under which they are recorded."""
    came = FETCH.read([NOTHING, 3, [b"one"], [], 2, [b"two", b"three"], [2, 20_000_000]])
    assert [(f.source.queue, f.tag, f.item, f.byte_count) for f in came] == [
        ("reply", "", b"one", 3),
        ("q", "tag-2", b"two", 3),
        ("q", "tag-3", b"three", 20_000_000),
    ]
    assert FETCH.args(5, busy=True)[:4] == [5, "tag-", 1, 1]


def test_redis_is_sent_the_script_when_it_does_not_know_it() -> None:
    """The script is sent by name, or in full."""
    assert script_command(["k"], [1], cached=True)[0] == "EVALSHA"
    assert script_command(["k"], [1], cached=False)[0] == "EVAL"


@pytest.mark.parametrize(
    ("state", "found", "expected"),
    [
        pytest.param(NOTHING, True, "BLMOVE", id="emptied"),
        pytest.param(MORE, True, None, id="full"),
        pytest.param(SUSPECTS, True, None, id="a suspect"),
        pytest.param(SUSPECTS, False, "BRPOP", id="suspects wait"),
    ],
)
def test_a_fetch_waits_only_if_there_was_nothing_more(
    state: int, found: bool, expected: str | None
) -> None:
    """After a full fetch there is no wait; where waiting is no use there is a pause."""
    pace = Pace()
    pace.after(state, found=found, cached=True)
    wait = pace.wait_command(["q"], "pause", 1)
    assert (wait[0] if wait else None) == expected
    assert pace.more_waiting == (state == MORE)


def test_one_list_is_waited_for_longer_than_several() -> None:
    """With one list the wait is the transport's; with several it is short."""
    assert Pace().wait_command(["q"], "pause", 1)[-1] == 1
    assert Pace().wait_command(["q", "r"], "pause", 1)[-1] < 0.1


# -- what of kombu this builds on ------------------------------------------------


def test_install_keeps_the_schemes(monkeypatch: pytest.MonkeyPatch) -> None:
    """URLs stay what they are and lead to this transport."""
    monkeypatch.setattr(kombu.transport, "TRANSPORT_ALIASES", {"amqp": "x", "redis": "y"})
    monkeypatch.setattr(kombu.transport, "_transport_cache", {"redis": stock.Transport})
    before = Connection("redis://host:1/2").as_uri()
    install()
    assert {**ALIASES, "amqp": "x"} == kombu.transport.TRANSPORT_ALIASES
    assert kombu.transport.get_transport_cls("redis") is Transport
    assert kombu.transport.get_transport_cls("sentinel") is SentinelTransport
    assert Connection("redis://host:1/2").as_uri() == before


SIGNATURES = [
    (stock.Channel._brpop_start, "(self, timeout=None)"),
    (stock.Channel._brpop_read, "(self, **options)"),
    (stock.Channel._flush_brpop_reauth, "(self)"),
    (stock.Channel._q_for_pri, "(self, queue, pri)"),
    (stock.Channel._on_connection_disconnect, "(self, connection)"),
    (stock.Channel.basic_consume, "(self, queue, *args, **kwargs)"),
    (stock.Channel.close, "(self)"),
    (stock.Channel._put_fanout, "(self, exchange, message, routing_key, **kwargs)"),
    (stock.Channel._get_publish_topics, "(self, exchange, routing_key)"),
    (stock.Channel._queue_bind, "(self, exchange, routing_key, pattern, queue)"),
    (stock.QoS.append, "(self, message, delivery_tag)"),
    (stock.QoS.ack, "(self, delivery_tag)"),
    (stock.QoS.reject, "(self, delivery_tag, requeue=False)"),
    (stock.QoS.restore_unacked, "(self, client=None)"),
    (stock.QoS.restore_visible, "(self, start=0, num=10, interval=10)"),
    (stock.MultiChannelPoller.get, "(self, callback, timeout=None)"),
    (stock.MultiChannelPoller._register_BRPOP, "(self, channel)"),
    (stock.Transport.register_with_event_loop, "(self, connection, loop)"),
    (virtual.Channel._lookup, "(self, exchange, routing_key, default=None)"),
    (virtual.Channel._get_message_priority, "(self, message, reverse=False)"),
    (virtual.Channel.basic_consume, "(self, queue, no_ack, callback, consumer_tag, **kwargs)"),
    (virtual.Channel.basic_get, "(self, queue, no_ack=False, **kwargs)"),
    (virtual.QoS.can_consume, "(self)"),
    (virtual.QoS.can_consume_max_estimate, "(self)"),
    (virtual.QoS._flush, "(self)"),
    (virtual.QoS.restore_unacked_once, "(self, stderr=None)"),
    (Hub.call_repeatedly, "(self, delay, callback, *args)"),
]


@pytest.mark.parametrize(
    ("function", "signature"), SIGNATURES, ids=[f.__qualname__ for f, _ in SIGNATURES]
)
def test_kombu_is_as_it_was(function: Any, signature: str) -> None:
    """A method of kombu's that is overridden or called has the parameters that it had."""
    assert str(inspect.signature(function)) == signature


def test_kombu_calls_what_is_overridden() -> None:
    """Kombu's loops, timers and shutdown still go through the methods replaced here."""
    source = inspect.getsource
    poller = stock.MultiChannelPoller
    assert "channel._brpop_start()" in source(poller._register_BRPOP)
    assert "channel.qos.can_consume()" in source(poller.on_poll_start)
    assert "chan.qos.can_consume()" in source(poller.on_readable)
    assert "channel.qos.restore_visible(" in source(poller.maybe_restore_messages)
    assert "'BRPOP': self._brpop_read" in source(stock.Channel.__init__)
    assert "self._queue_cycle = cycle_by_name" in source(stock.Channel.__init__)
    assert "self._qos.restore_unacked_once()" in source(virtual.Channel.close)
    assert "self.restore_unacked()" in source(virtual.QoS.restore_unacked_once)
    assert "self.cycle = MultiChannelPoller()" in source(stock.Transport.__init__)
    assert "dumps([message._raw, EX, RK])" in source(stock.QoS.append)
    assert "_put_fanout(" in source(virtual.exchange.FanoutExchange.deliver)
    assert "kwargs.pop('_publish_batch', None)" in source(stock.Channel._put_fanout)
    # What worker.transport.redis.binding does in its place.
    assert "args=[member, exchange, self._binding_ttl(queue)]" in source(stock.Channel._queue_bind)
    assert source(stock.Channel._queue_bind).count("pipe.sadd(") == 2
    assert stock.REFRESH_BINDING.count("redis.call(") == 3


def test_kombu_has_the_attributes_that_are_used() -> None:
    """Private names that are read or set here exist with kombu."""
    names = (
        "_in_poll _brpop_sent_at _closing pool priority_steps unacked_key unacked_index_key "
        "unacked_restore_interval unacked_restore_throttle "
        "global_keyprefix active_queues"
    )
    assert [name for name in names.split() if not hasattr(stock.Channel, name)] == []
    qos = virtual.QoS(None)
    names = "_delivered _dirty _quick_ack prefetch_count _on_collect"
    assert [name for name in names.split() if not hasattr(qos, name)] == []
    qos._on_collect.cancel()
    assert "_channels" in vars(stock.MultiChannelPoller())
    made = inspect.getsource(virtual.Channel.__init__)
    assert "self._active_queues = []" in made
    assert "self._qos = None" in made
    assert "self.brpop_timeout = " in inspect.getsource(stock.Channel.__init__)


def test_options_are_kombus_and_ours() -> None:
    """Transport options of kombu's are kept, but for the one that would lose messages."""
    for ours, theirs in ((Channel, stock.Channel), (SentinelChannel, stock.SentinelChannel)):
        kept = set(theirs.from_transport_options) - {"ack_emulation"}
        assert set(ours.from_transport_options) == kept | {
            "delivery_limit",
            "lease_seconds",
            "lease_max_seconds",
        }
    assert Channel.QoS is QoS
    assert issubclass(SentinelTransport, Transport)
    assert SentinelTransport.default_port == stock.SentinelTransport.default_port
