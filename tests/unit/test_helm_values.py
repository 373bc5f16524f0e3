"""The values of the Helm chart: each is said, and what is none is refused by its name."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import click
import pytest
import yaml

from tests.deployment import parse
from tests.helm_chart import CHART, EVERYTHING, OF_A_RELEASE, helm, render

pytestmark = OF_A_RELEASE


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
        pytest.param({"settings": {"BATCH": "1"}}, "'BATCH'", id="no setting"),
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
