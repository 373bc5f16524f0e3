"""Items that hypothesis thinks of: anything in the place of every part of a message.

They come by every way that a message can take: as a stock client sends it, in Celery's
protocol 1, put off for a second, said to have been delivered before. All of it is the
same at every run.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from settle_client.names import TASK
from tests.faults.hostile import ABSENT, Case, message, named

# Drawn at once, which is much faster than one by one.
MANY = 10
LARGE = 20_000
# As deep as Python writes it.
DEEP = 300

text = st.text(st.characters(categories=("L", "N", "P", "Cc", "Cs", "So")), max_size=20)
value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=4,
)
status = st.sampled_from(["completed", "failed", "COMPLETED", "", None, 1])
update = st.fixed_dictionaries(
    {"id": text | value, "status": status}, optional={"accountId": value, "payload": value}
)
arguments = st.one_of(
    st.tuples(st.just([]), update),
    st.tuples(st.lists(st.lists(update | value, max_size=5), min_size=1, max_size=1), st.just({})),
    st.tuples(value, value),
)


def _nested(levels: int) -> Any:
    nested: Any = []
    for _ in range(levels):
        nested = [nested]
    return nested


anything = st.one_of(
    *[value] * 6,
    st.integers(1, DEEP).map(_nested),
    st.text(st.characters(categories=("L", "Cs")), min_size=1, max_size=3).map(
        lambda few: few * LARGE
    ),
    st.integers(15, 4_299).map(lambda digits: 10**digits),
    st.just(ABSENT),
)
HEADERS = (
    *("task", "id", "lang", "root_id", "parent_id", "group", "shadow", "origin", "retries"),
    *("eta", "expires", "timelimit", "argsrepr", "kwargsrepr", "ignore_result", "compression"),
    *("stamped_headers", "stamps", "replaced_task_nesting", "x-delivery-count", "redelivered"),
    *("sent_at", "traceparent", "tracestate", "x-death", "x-unheard-of"),
)
PROPERTIES = (
    *("correlation_id", "reply_to", "delivery_mode", "delivery_info", "priority", "expiration"),
    *("body_encoding", "timestamp", "type", "user_id", "app_id", "message_id"),
)
PARTS = ("content-type", "content-encoding", "body")
ways = st.sampled_from(["as it is", "protocol 1", "put off", "delivered before"])


@st.composite
def items(draw: st.DrawFn) -> Case:
    """Draw an item with something else in the place of a few of its parts."""
    headers: Any = named()
    headers |= draw(st.dictionaries(st.sampled_from(HEADERS), anything, max_size=3))
    properties = draw(st.dictionaries(st.sampled_from(PROPERTIES), anything, max_size=2))
    parts = draw(st.dictionaries(st.sampled_from(PARTS), anything, max_size=1))
    body = json.dumps([*draw(arguments), {}])
    match draw(ways):
        case "protocol 1":
            said = {"task": TASK, **headers, **draw(st.dictionaries(text, value, max_size=2))}
            body = json.dumps({name: it for name, it in said.items() if it is not ABSENT})
            headers = draw(st.just({}) | anything)
        case "put off":
            headers["eta"] = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
        case "delivered before":
            headers |= {"redelivered": True, "x-delivery-count": draw(st.integers(1, 20))}
    # What may not be as it was sent is not looked for by its id.
    case = message(body, headers=headers, properties=properties, parts=parts)
    is_known = isinstance(headers, dict) and _is_id(headers.get("id")) and not parts
    return case if is_known else case._replace(message_id=None)


def _is_id(said: Any) -> bool:
    return isinstance(said, str) and said.startswith("hostile-")


def fuzzed(count: int) -> list[Case]:
    """Return so many items, in half of which only the body is odd."""
    bodies = arguments.map(lambda drawn: message(json.dumps([*drawn, {}])))
    return [*_draw(bodies, count // 2), *_draw(items(), count // 2)]


def _draw(strategy: st.SearchStrategy[Case], count: int) -> list[Case]:
    collected: list[Case] = []

    @settings(
        max_examples=count // MANY,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(strategy, min_size=MANY, max_size=MANY))
    def collect(drawn: list[Case]) -> None:
        collected.extend(drawn)

    collect()
    return collected
