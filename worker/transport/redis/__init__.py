"""kombu's Redis transport, with an atomic fetch of many messages at once.

Stock kombu pops a message and then, on another connection, records that it holds
it: whatever ends the process or the connection in between loses the message.
Here one script pops and records, up to a thousand messages in a step.

Queues are laid out as kombu lays them out: producers, Flower, `celery inspect` and
stock workers on the same database go on working. What is held has keys of its own, so
that nobody restores anything of somebody else's. Added are two lists a queue:
`<queue>.retry` and, where nobody set `on_set_aside`, `<queue>.dead`; and a sorted set,
`<queue>.delayed`.

A message that kills its process takes blameless neighbours with it. What only waited
there is not counted. One that was worked on twice when its worker died is a suspect: it
goes to `.retry`, and is fetched alone, by a worker that holds nothing else, while nobody
fetches anything else. More than `delivery_limit` times, and it is set aside. Five:
twice in company, when nothing is proven, and often enough alone that no innocent
message is there by chance.

What a consumer may set and call is public on the channel
(`worker.transport.redis.channel`): `more_waiting`, `room`, `take`, `on_set_aside`,
`ack_many`, `delay`, `begin`, `pause`, `resume`, `park`, `unpark`. What it holds is in
`worker.transport.redis.leases`, the steps that Redis does at once in
`worker.transport.redis.scripts`.

What it is not: it does not know batches or updates, and fanout (remote control,
task events) is kombu's own. With several priorities or queues the first list is
waited for, and the others are looked at twenty times a second.
"""

from worker.transport.redis.channel import Channel
from worker.transport.redis.transport import (
    ClusterTransport,
    SentinelTransport,
    Transport,
    install,
)

__all__ = ["Channel", "ClusterTransport", "SentinelTransport", "Transport", "install"]
