"""What `settle doctor` says of real Redis servers, good and bad."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
import redis

from cli.doctor.examination import examine
from cli.doctor.parts import broker_part, result_backend_part, result_channel_part
from cli.embedded import Redis, free_port, temporary_folder
from service.finding import Finding, Verdict
from service.reaching import RedisServer
from service.redis_checks import clock
from service.settings import Settings
from tests.accounts import redis_users
from tests.started import started

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.doctor.examination import Part

STREAM_MAX_LENGTH = 10


@pytest.fixture(scope="module")
def server() -> Iterator[Redis]:
    """Give a server that is as it should be."""
    with started(lambda folder: Redis(folder, append_only=True)) as server:
        yield server


@pytest.fixture
def client(server: Redis) -> Iterator[Any]:
    """Give a way to spoil it, and repair it afterwards."""
    with redis.Redis.from_url(server.url) as client:
        good = client.config_get("*")
        yield client
        for name in ("maxmemory", "maxmemory-policy", "appendonly", "appendfsync"):
            client.config_set(name, good[name])
        client.flushall()


def look(part: Part) -> dict[str, Finding]:
    """Examine a part, by check."""
    return {result.check: result.finding for result in examine(part)}


def settings(url: str, **values: Any) -> Settings:
    """Return settings with a broker and a short stream."""
    values = {"broker_url": url, "outcome_stream_max_length": STREAM_MAX_LENGTH, **values}
    return Settings.model_construct(**{**Settings().model_dump(), **values})


def verdicts(findings: dict[str, Finding]) -> set[Verdict]:
    """Return the verdicts there are, having seen that whatever is wrong has a fix."""
    for finding in findings.values():
        assert finding.fix or finding.verdict in (Verdict.OK, Verdict.UNKNOWN)
    return {finding.verdict for finding in findings.values()}


def test_a_good_server_is_found_good(client: Any, server: Redis) -> None:
    """In every check, and looking leaves nothing behind."""
    for part in (broker_part, result_channel_part):
        assert verdicts(look(part(settings(server.url)))) == {Verdict.OK}
    assert verdicts(look(result_backend_part(server.url))) == {Verdict.OK}
    assert client.dbsize() == 0


@pytest.mark.parametrize(
    ("check", "configuration", "verdict", "words"),
    [
        ("persistence", {"appendonly": "no"}, Verdict.FAILURE, "no append-only file"),
        ("persistence", {"appendfsync": "no"}, Verdict.WARNING, "never synced"),
        ("persistence", {"appendfsync": "always"}, Verdict.OK, "always"),
        (
            "eviction",
            {"maxmemory-policy": "allkeys-lru", "maxmemory": "1gb"},
            Verdict.FAILURE,
            "thrown away",
        ),
        ("eviction", {"maxmemory-policy": "volatile-ttl"}, Verdict.WARNING, "harmless only"),
        ("memory", {"maxmemory": "1"}, Verdict.FAILURE, "refused"),
        ("memory", {"maxmemory": "1gb"}, Verdict.OK, "of 1,024 MiB"),
    ],
)
def test_a_server_that_forgets_is_found_out(
    client: Any,
    server: Redis,
    check: str,
    configuration: dict[str, str],
    verdict: Verdict,
    words: str,
) -> None:
    """Each setting by itself; nothing else is held against it."""
    for name, value in configuration.items():
        client.config_set(name, value)
    findings = look(broker_part(settings(server.url)))
    assert words in findings[check].found
    assert findings.pop(check).verdict is verdict
    assert verdicts(findings) == {Verdict.OK}


def test_memory_that_is_nearly_used_up_is_warned_of(client: Any, server: Redis) -> None:
    """Before messages are refused."""
    client.config_set("maxmemory", int(client.info()["used_memory"] * 1.15))
    assert look(broker_part(settings(server.url)))["memory"].verdict is Verdict.WARNING


def test_a_stream_larger_than_memory_is_warned_of(client: Any, server: Redis) -> None:
    """While there is room still."""
    client.config_set("maxmemory", "100mb")
    findings = look(broker_part(settings(server.url, outcome_stream_max_length=1_000_000)))
    assert findings["memory"].verdict is Verdict.WARNING
    assert "SETTLE_OUTCOME_STREAM_MAX_LENGTH" in findings["memory"].fix


def test_a_replica_is_no_broker(client: Any, server: Redis) -> None:
    """It takes no writes."""
    client.replicaof("127.0.0.1", 1)
    try:
        finding = look(broker_part(settings(server.url)))["server"]
    finally:
        client.replicaof("NO", "ONE")
    assert (finding.verdict, finding.fix) == (Verdict.FAILURE, "name the primary in the URL")


def test_a_cluster_is_no_broker() -> None:
    """Celery cannot use one."""

    class Cluster(Redis):
        def command(self) -> list[str]:
            bus = ("--cluster-port", str(free_port()))
            return [*super().command(), "--cluster-enabled", "yes", *bus]

    with temporary_folder() as folder, Cluster(folder / "cluster") as cluster:
        finding = look(broker_part(settings(cluster.url)))["server"]
    assert finding.verdict is Verdict.FAILURE
    assert "Cluster" in finding.found


def test_clocks_are_compared(client: Any) -> None:
    """This machine's is an hour behind here."""
    finding = clock(RedisServer(client, clock=lambda: time.time() - 3_600))
    assert (finding.verdict, "ahead of" in finding.found) == (Verdict.FAILURE, True)


def test_the_documented_worker_has_every_right(server: Redis) -> None:
    """Only CONFIG GET is kept from it, and that is no failure."""
    with redis_users(server.url) as users:
        broker = look(broker_part(settings(users.worker)))
        assert broker.pop("persistence").verdict is Verdict.UNKNOWN
        assert verdicts(broker) == {Verdict.OK}
        assert verdicts(look(result_channel_part(settings(users.worker)))) == {Verdict.OK}
        assert verdicts(look(result_backend_part(users.worker))) == {Verdict.OK}


@pytest.mark.parametrize(
    ("rule", "denied"),
    [
        ("-eval -evalsha", "EVAL return 0, EVALSHA"),
        ("-blmove", "BLMOVE event-status-updates"),
        ("resetchannels &event-outcomes", "PSUBSCRIBE /0.celery.pidbox, PUBLISH /0.celeryev"),
        ("-multi", "MULTI"),
    ],
)
def test_a_right_that_is_missing_is_named(
    client: Any, server: Redis, rule: str, denied: str
) -> None:
    """Whatever the kind, and nothing is done to find out."""
    client.acl_setuser("lacking", enabled=True, nopass=True, keys="*", channels="*")
    client.execute_command("ACL", "SETUSER", "lacking", "+@all", *rule.split())
    url = server.url.replace("//", "//lacking:any@")
    finding = look(broker_part(settings(url)))["rights"]
    client.acl_deluser("lacking")
    assert finding.verdict is Verdict.FAILURE
    assert denied in finding.found
    assert client.dbsize() == 0


def test_a_user_who_may_not_publish_is_found_out(client: Any, server: Redis) -> None:
    """On the result channel and on the result backend."""
    client.acl_setuser("silent", enabled=True, nopass=True, categories=["+@all"], keys="unacked*")
    url = server.url.replace("//", "//silent:any@")
    channel = look(result_channel_part(settings(url)))["publishing"]
    backend = look(result_backend_part(url))["storing"]
    client.acl_deluser("silent")
    assert (channel.verdict, backend.verdict) == (Verdict.FAILURE, Verdict.FAILURE)


def test_a_key_of_the_wrong_kind_is_found_out(client: Any, server: Redis) -> None:
    """Nothing could be published or kept as a dead letter."""
    client.set("event-outcomes", "mine")
    client.lpush("event-status-updates.dead", "mine")
    findings = look(result_channel_part(settings(server.url)))
    assert findings["stream"].verdict is Verdict.FAILURE
    assert findings["dead letters"].verdict is Verdict.FAILURE


def test_a_group_that_is_far_behind_is_warned_of(client: Any, server: Redis) -> None:
    """What it has not read is trimmed in the end."""
    client.xgroup_create("event-outcomes", "audit", id="0", mkstream=True)
    for _ in range(STREAM_MAX_LENGTH // 2 - 1):
        client.xadd("event-outcomes", {"outcome": "{}"})
    assert look(result_channel_part(settings(server.url)))["consumer groups"].verdict is Verdict.OK
    client.xadd("event-outcomes", {"outcome": "{}"})
    finding = look(result_channel_part(settings(server.url)))["consumer groups"]
    assert finding.verdict is Verdict.WARNING
    assert finding.found.endswith("audit has 5 unread of the 5 outcomes kept")


def test_a_group_that_has_lost_outcomes_is_found_out(client: Any, server: Redis) -> None:
    """With how many, until it reads on."""
    client.xgroup_create("event-outcomes", "audit", id="0", mkstream=True)
    for _ in range(20):
        client.xadd("event-outcomes", {"outcome": "{}"})
    client.xreadgroup("audit", "one", {"event-outcomes": ">"}, count=3)
    client.xtrim("event-outcomes", maxlen=4, approximate=False)
    finding = look(result_channel_part(settings(server.url)))["consumer groups"]
    assert finding.verdict is Verdict.FAILURE
    assert finding.found.endswith("audit has 4 unread of the 4 outcomes kept, and has lost 13")
    assert "SETTLE_OUTCOME_KEEP_FOR_GROUPS" in finding.fix
    client.xreadgroup("audit", "one", {"event-outcomes": ">"}, count=1)
    assert look(result_channel_part(settings(server.url)))["consumer groups"].verdict is Verdict.OK


def room(server: Redis, groups: str) -> Finding:
    """Return what is said of the room for outcomes that groups are to read."""
    values = settings(server.url, outcome_keep_for_groups=groups)
    return look(result_channel_part(values))["room"]


def test_a_group_that_settlement_waits_for_and_that_is_not_there_is_found_out(
    client: Any, server: Redis
) -> None:
    """Before it waits, and whether the group was deleted or only meant."""
    assert room(server, "").verdict is Verdict.OK
    finding = room(server, "audit, billing")
    assert finding.verdict is Verdict.FAILURE
    assert finding.found.endswith("not there: audit, billing")
    assert "XGROUP CREATE event-outcomes audit 0" in finding.fix
    for name in ("audit", "billing"):
        client.xgroup_create("event-outcomes", name, id="0", mkstream=True)
    assert room(server, "audit, billing").verdict is Verdict.OK
    client.xgroup_destroy("event-outcomes", "billing")
    assert room(server, "audit, billing").found.endswith("not there: billing")


def test_a_group_that_settlement_waits_for_is_found_out(client: Any, server: Redis) -> None:
    """Whether it does not read, or does not acknowledge what it has read."""
    client.xgroup_create("event-outcomes", "audit", id="0", mkstream=True)
    for length in range(1, STREAM_MAX_LENGTH + 1):
        client.xadd("event-outcomes", {"outcome": "{}"})
        half = length >= STREAM_MAX_LENGTH // 2
        full = length >= STREAM_MAX_LENGTH
        expected = Verdict.FAILURE if full else Verdict.WARNING if half else Verdict.OK
        assert room(server, "audit").verdict is expected
    ((_, read),) = client.xreadgroup("audit", "one", {"event-outcomes": ">"})
    finding = room(server, "audit")
    assert finding.verdict is Verdict.FAILURE
    assert "10 of 10 outcomes are kept for audit" in finding.found
    client.xack("event-outcomes", "audit", *(id_ for id_, _ in read))
    assert room(server, "audit").verdict is Verdict.OK


def test_who_may_not_make_room_is_found_out(server: Redis) -> None:
    """It needs more rights than who only trims."""
    with redis_users(server.url) as users:
        values = settings(users.worker, outcome_keep_for_groups="audit")
        finding = look(result_channel_part(values))["publishing"]
    assert finding.verdict is Verdict.FAILURE
    assert "XPENDING" in finding.found


def test_dead_letters_and_suspects_are_warned_of(client: Any, server: Redis) -> None:
    """Somebody has to look at them."""
    client.xadd("event-status-updates.dead", {"raw": ""})
    client.lpush("event-status-updates.retry", "{}")
    client.lpush("event-status-updates", "{}", "{}")
    letters = look(result_channel_part(settings(server.url)))["dead letters"]
    assert letters.verdict is Verdict.WARNING
    assert "settle dead list" in letters.fix
    finding = look(broker_part(settings(server.url)))["backlog"]
    assert finding.verdict is Verdict.WARNING
    assert "2 messages waiting" in finding.found


def test_another_server_for_outcomes_is_examined_too(client: Any, server: Redis) -> None:
    """With all that a server is examined for."""
    client.config_set("appendonly", "no")
    findings = look(result_channel_part(settings("redis://127.0.0.1:1/0", outcome_url=server.url)))
    assert findings["persistence"].verdict is Verdict.FAILURE
    assert findings["publishing"].verdict is Verdict.OK


def test_what_is_away_fails_and_keeps_its_password() -> None:
    """A password that was not percent-encoded, too."""
    for url in ("redis://:hush@127.0.0.1:1/0", "redis://:hu/sh@127.0.0.1:1/0"):
        for part in (broker_part(settings(url)), result_backend_part(url)):
            first, *others = look(part).values()
            assert first.verdict is Verdict.FAILURE
            assert {finding.verdict for finding in others} == {Verdict.UNKNOWN}
            assert "hu" not in f"{part.address}{first.found}"
