"""What RabbitMQ's management plugin shows, and AMQP does not: replicas, and policies.

A policy can remove messages of a queue that is declared as it should be, and whoever
sets one for other queues may not have seen that its pattern fits this one too. The
plugin need not be there: what it would have shown is unknown then.
"""

from __future__ import annotations

import base64
import json
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlencode, urlsplit

from kombu.connection import Connection

from cli.doctor.examination import say
from service.finding import Finding, failure, ok, unknown, warning
from service.reaching import TIMEOUT_SECONDS
from settle_client.names import QUEUE
from worker.transport.rabbitmq.delay_queues import NAMES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from service.settings import Settings

NOT_SET = "over AMQP; SETTLE_RABBITMQ_MANAGEMENT_URL is not set"
LIST_REPLICAS = f"rabbitmqctl list_queues name type members online | grep {QUEUE}"
LIST_POLICIES = "rabbitmqctl list_policies; rabbitmqctl list_operator_policies"
# The delivery at which a worker sets aside what comes again and again.
LEAST_DELIVERY_LIMIT = 19
# Without an outage, a worker holds nothing for as long.
LEAST_CONSUMER_TIMEOUT_SECONDS = 600
# When one is away.
REPLICAS_FOR_A_MAJORITY = 3
COLUMNS = (
    *("name", "members", "online"),
    *("policy", "operator_policy", "effective_policy_definition"),
)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the plugin showed, or why it did not."""

    queues: dict[str, dict[str, Any]] = field(default_factory=dict)
    nodes: int = 0
    why_not: str = ""


@contextmanager
def look(settings: Settings) -> Iterator[Seen]:
    """Ask the plugin, if it is known where it is."""
    url = settings.rabbitmq_management_url
    try:
        seen = _ask(url, settings.broker_url) if url else Seen(why_not=NOT_SET)
    except OSError as error:
        seen = Seen(why_not=f"by management: {say(error)}")
    except Exception:  # noqa: BLE001 - whatever else answers there
        seen = Seen(why_not="by management: what answers there is not RabbitMQ's plugin")
    yield seen


def _ask(url: str, broker_url: str) -> Seen:
    connect: Any = Connection
    virtual_host = quote(connect(broker_url).virtual_host, safe="")
    asked = urlencode(
        {
            "columns": ",".join(COLUMNS),
            "name": f"^{QUEUE}",
            "use_regex": "true",
            "page": 1,
            "page_size": 2 * len(NAMES),
        }
    )
    found = _get(url, f"api/queues/{virtual_host}?{asked}")
    return Seen(
        {queue["name"]: queue for queue in found["items"]}, len(_get(url, "api/nodes?columns=name"))
    )


def _get(url: str, path: str) -> Any:
    parts = urlsplit(url)
    address = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")
    request = urllib.request.Request(f"{address}/{path}")  # noqa: S310 - the setting is http(s)
    login = f"{unquote(parts.username or 'guest')}:{unquote(parts.password or 'guest')}"
    # Not sent on to where it is redirected.
    request.add_unredirected_header(
        "Authorization", f"Basic {base64.b64encode(login.encode()).decode()}"
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
        return json.load(answer)


def replicas(seen: Seen) -> Finding:
    """Check that the queue outlives a node, where there are several."""
    if seen.why_not:
        return unknown(f"not shown {seen.why_not}", LIST_REPLICAS)
    queue = seen.queues.get(QUEUE)
    if queue is None:
        return ok("the queue is not there yet; the first worker declares it")
    members, online = set(queue.get("members") or ()), set(queue.get("online") or ())
    if not members:
        # Nor does a quorum queue have any whose majority is away.
        return unknown("the plugin shows none of this queue", LIST_REPLICAS)
    if away := sorted(members - online):
        return warning(
            f"{len(online)} of {len(members)} replicas are there, not {', '.join(away)}",
            "start it; if it is gone for good, rabbitmqctl forget_cluster_node, then "
            "rabbitmq-queues grow on another",
        )
    counts = f"{_count(len(members), 'replica')} on {_count(seen.nodes, 'node')}"
    if seen.nodes > 1 and len(members) < REPLICAS_FOR_A_MAJORITY:
        return warning(
            f"{counts}: while a node is away, the queue may be too",
            f"three nodes; rabbitmq-queues grow <node> all --queue-pattern '^{QUEUE}'",
        )
    return ok(f"{counts}, all there")


def policies(seen: Seen) -> Finding:
    """Check that nothing that is set on the queues removes messages which are not settled."""
    if seen.why_not:
        return unknown(f"not shown {seen.why_not}", LIST_POLICIES)
    found = [found for queue in seen.queues.values() for found in _judge(queue)]
    fix = "rabbitmqctl clear_policy or clear_operator_policy, or a pattern that does not fit"
    if lost := list(dict.fromkeys(text for loses, text in found if loses)):
        return failure("; ".join(lost), f"{fix}: what it removes is never settled")
    if found:
        return warning("; ".join(dict.fromkeys(text for _, text in found)), fix)
    return ok("none removes messages")


def _judge(queue: dict[str, Any]) -> Iterator[tuple[bool, str]]:
    """Yield what policies do to a queue, and whether messages are lost by it."""
    in_force = queue.get("effective_policy_definition") or {}
    names = [queue.get(kind) for kind in ("policy", "operator_policy")]
    who = " and ".join(name for name in names if name)
    for key, judge in (DELAYING if queue["name"] in NAMES else WORKING).items():
        if key in in_force and (found := judge(in_force[key], in_force)):
            loses, text = found
            yield loses, f"{who} on {queue['name']}: {key} {in_force[key]} {text}"


def _removes(what: str) -> Callable[[Any, dict[str, Any]], tuple[bool, str]]:
    def judge(_: Any, in_force: dict[str, Any]) -> tuple[bool, str]:
        exchange = in_force.get("dead-letter-exchange")
        return True, what + (f", to the exchange {exchange!r}" if exchange is not None else "")

    return judge


def _length(value: Any, in_force: dict[str, Any]) -> tuple[bool, str]:
    if str(in_force.get("overflow", "")).startswith("reject-publish"):
        return False, "refuses what is sent beyond that: who waits for no confirm loses it"
    return _removes("removes the oldest beyond that")(value, in_force)


def _delivery_limit(limit: int, in_force: dict[str, Any]) -> tuple[bool, str] | None:
    # What is negative is none.
    if not 0 <= limit < LEAST_DELIVERY_LIMIT:
        return None
    return _removes("removes what came that often, before a worker sets it aside")(limit, in_force)


def _consumer_timeout(milliseconds: int, _: dict[str, Any]) -> tuple[bool, str] | None:
    if milliseconds >= LEAST_CONSUMER_TIMEOUT_SECONDS * 1000:
        return None
    return False, "ms delivers again what waits for a short outage to end"


WORKING = {
    "message-ttl": _removes("ms removes what has waited for so long"),
    "expires": _removes("ms removes the queue when no worker was there for so long"),
    "max-length": _length,
    "max-length-bytes": _length,
    "delivery-limit": _delivery_limit,
    "consumer-timeout": _consumer_timeout,
}
# Nobody consumes from them, and messages leave them by a time of their own.
DELAYING = {key: WORKING[key] for key in ("expires", "max-length", "max-length-bytes")}

CHECKS = (replicas, policies)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
