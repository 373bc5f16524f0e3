"""The values of the Helm chart: each is said, and what is none is refused by its name."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import click
import pytest
import yaml

from service.settings import Settings, variable
from tests.deployment import parse
from tests.helm_chart import CHART, EVERYTHING, OF_A_RELEASE, helm, render
from tests.versions import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = OF_A_RELEASE

# Settings that are none of the chart's `settings`.
ELSEWHERE = {
    *("CELERY_BROKER_URL", "CELERY_RESULT_BACKEND", "DATABASE_URL", "SETTLE_OUTCOME_URL"),
    *("SETTLE_READ_DATABASE_URL", "SETTLE_WEBHOOKS_FILE"),
    *("SETTLE_RABBITMQ_MANAGEMENT_URL", "SETTLE_PAGE_KEY", "SETTLE_PAGE_HOST", "SETTLE_PAGE_PORT"),
    "SETTLE_SENTINEL_PASSWORD",
    *("SETTLE_GATEWAY_HOST", "SETTLE_GATEWAY_PORT", "SETTLE_GATEWAY_KEYS_FILE"),
}


def paths_of(values: dict[str, Any]) -> Iterator[str]:
    """Give the path of every value that there has to be."""
    for name, value in values.items():
        yield name
        if isinstance(value, dict) and name not in {"nodeSelector", "resources"}:
            yield from (f"{name}.{path}" for path in paths_of(value))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        pytest.param({"wroker": {}}, "'wroker' not allowed", id="unknown part"),
        pytest.param({"worker": {"count": 3}}, "'count' not allowed", id="key"),
        pytest.param({"worker": {"replicas": -1}}, "'/worker/replicas'", id="negative"),
        pytest.param({"worker": {"replicas": "3"}}, "'/worker/replicas'", id="text"),
        pytest.param({"image": {"tag": 1.5}}, "'/image/tag'", id="a tag that is a number"),
        pytest.param({"retention": {"outcomes": "4w"}}, "'/retention/outcomes'", id="weeks"),
        pytest.param({"keda": {"broker": "kafka"}}, "'/keda/broker'", id="broker"),
        pytest.param(
            {"settings": {"SETTLE_BATCH_MAX_UPDATES": 1_000_000}},
            "'/settings/SETTLE_BATCH_MAX_UPDATES'",
            id="a setting that is a number, which Helm would write 1e+06",
        ),
        pytest.param(
            {"settings": {"SETTLE_OUTCOME_URL": "redis://:secret@redis"}},
            "'SETTLE_OUTCOME_URL'",
            id="a setting that is a secret",
        ),
        pytest.param(
            {"settings": {"SETTLE_RABBITMQ_MANAGEMENT_URL": "http://u:secret@rabbitmq"}},
            "'SETTLE_RABBITMQ_MANAGEMENT_URL'",
            id="another one",
        ),
        pytest.param(
            {"settings": {"SETTLE_SENTINEL_PASSWORD": "secret"}},
            "'SETTLE_SENTINEL_PASSWORD'",
            id="one more",
        ),
        pytest.param({"settings": {"BATCH": "1"}}, "'BATCH'", id="no setting"),
        pytest.param(
            {"settings": {"SETTLE_BATCH_MAX_UPDATE": "1"}},
            "'SETTLE_BATCH_MAX_UPDATE'",
            id="a setting that is misspelt",
        ),
        pytest.param(
            {"settings": {"SETTLE_METRICS_PORT": "70000"}},
            "'/settings/SETTLE_METRICS_PORT'",
            id="port",
        ),
        pytest.param(
            {"settings": {"SETTLE_STOP_TIMEOUT_SECONDS": "0"}},
            "'/settings/SETTLE_STOP_TIMEOUT_SECONDS'",
            id="no time to stop",
        ),
        pytest.param(
            {"image": {"repository": "registry.example.com/settle:0.2.0"}},
            "'/image/repository'",
            id="a repository with a tag",
        ),
        pytest.param(
            {"image": {"repository": "registry.example.com/Settle"}},
            "'/image/repository'",
            id="a repository with a capital",
        ),
        pytest.param({"retention": {"schedule": "a b c d e"}}, "'/retention/schedule'", id="words"),
        pytest.param({"retention": {"schedule": "@never"}}, "'/retention/schedule'", id="never"),
        pytest.param(
            {"image": {"pullSecrets": ["a..b"]}}, "'/image/pullSecrets/0'", id="two dots in a name"
        ),
        pytest.param(
            {"tolerations": [{"key": "k", "effect": "NoShedule"}]},
            "'/tolerations/0/effect'",
            id="toleration",
        ),
        pytest.param(
            {"worker": {"resources": {"limits": {"memory": "much"}}}},
            "'/worker/resources/limits/memory'",
            id="quantity",
        ),
    ],
)
def test_a_value_that_cannot_be_is_named(values: dict[str, Any], said: str) -> None:
    """Before anything is applied, and without the secret that was put in the wrong place."""
    with pytest.raises(helm.HelmValuesError) as refused:
        render(values)
    assert said in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "repository", ["settle", "ghcr.io/owner/settle", "localhost:5000/a/b__c-d", "Registry.io/x"]
)
def test_an_image_may_be_anywhere(repository: str) -> None:
    """With the port of a registry, too."""
    pod = render({"image": {"repository": repository}})["Job", "settle-migrate"]["spec"]["template"]
    assert pod["spec"]["containers"][0]["image"] == f"{repository}:{VERSION}"


@pytest.mark.parametrize("path", [*paths_of(yaml.safe_load((CHART / "values.yaml").read_text()))])
def test_a_value_that_is_taken_away_is_named(path: str) -> None:
    """By `null`, which Helm takes for that; nothing is rendered without it."""
    *above, last = path.split(".")
    values: dict[str, Any] = {last: None}
    for key in reversed(above):
        values = {key: values}
    with pytest.raises(helm.HelmValuesError) as refused:
        render(values)
    assert f"'{last}'" in str(refused.value)


def test_every_setting_has_its_place() -> None:
    """In `settings`, unless it is a secret, is said by the chart itself, or by nobody."""
    schema = json.loads((CHART / "values.schema.json").read_text("utf-8"))
    allowed = set(schema["properties"]["settings"]["propertyNames"]["enum"])
    assert allowed | ELSEWHERE == {variable(name) for name in Settings.model_fields}
    assert allowed.isdisjoint(ELSEWHERE)


def test_no_fewer_workers_than_there_are_at_most() -> None:
    """Which no schema can say."""
    with pytest.raises(helm.HelmRenderError, match=r"keda\.minReplicas: 5 is more than"):
        render({"keda": {"enabled": True, "minReplicas": 5, "maxReplicas": 3}})


def test_helm_has_nothing_to_say_against_it() -> None:
    """But for the icon, of which there is none."""
    report = helm.lint(CHART, EVERYTHING, strict=True)
    assert [one["error"] for one in report["messages"]] == ["icon is recommended"]
    assert report["errors"] == []


def test_every_value_is_said_and_checked() -> None:
    """A line above each says what it is, and the schema has it and no other."""
    lines = (CHART / "values.yaml").read_text("utf-8").splitlines()
    schema = json.loads((CHART / "values.schema.json").read_text("utf-8"))["properties"]
    values = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    # Of charts that have this one among theirs.
    assert set(values) == set(schema) - {"global"}
    for name, value in values.items():
        if schema[name].get("additionalProperties") is False:
            assert set(value) == set(schema[name]["properties"]), name
            for key in value:
                assert line_above(lines, name, key).startswith("  # "), f"{name}.{key}"


def line_above(lines: list[str], name: str, key: str) -> str:
    """Return what stands above a value of a part."""
    part = lines[lines.index(f"{name}:") :]
    return next(above for above, line in pairwise(part) if line.startswith(f"  {key}:"))


@pytest.mark.parametrize("age", ["36h", "7d", "4w", "0d", "7", "a week"])
def test_an_age_is_what_the_command_takes(age: str) -> None:
    """No job is to fail by night for what could have been said by day."""
    values = {"retention": {"outcomes": age, "deadLetters": age}}
    try:
        job = render(values)["CronJob", "settle-retention"]["spec"]["jobTemplate"]
    except helm.HelmValuesError:
        with pytest.raises(click.UsageError):
            parse(["settle", "retention", "--outcomes", age])
    else:
        (container,) = job["spec"]["template"]["spec"]["containers"]
        parse(container["args"])
