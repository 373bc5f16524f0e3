"""The Helm chart: it applies what the manifests for kustomize do."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.deployment import KUBERNETES, documents, manifests, variables
from tests.helm_chart import EVERYTHING, OF_A_RELEASE, Objects, helm, named, render

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = OF_A_RELEASE

# What only Helm adds.
OF_HELM = {
    *("app.kubernetes.io/instance", "app.kubernetes.io/managed-by", "app.kubernetes.io/version"),
    *("helm.sh/chart", "annotations", "imagePullPolicy"),
}
# What the chart has labels on, and kustomize has not.
UNLABELLED = {"ConfigMap", "ScaledObject", "TriggerAuthentication"}


def kustomized() -> Objects:
    """Return what kustomize would apply with both components."""
    root = documents(KUBERNETES / "kustomization.yaml")[0]
    ((name, image),) = (
        (image["name"], f"{image['newName']}:{image['newTag']}") for image in root["images"]
    )
    objects = named(one for one in manifests() if one["kind"] != "Secret")
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settle"}}
    objects["ConfigMap", "settle"] = settings | {"data": variables(KUBERNETES / "settings.env")}
    # The component keda takes it out.
    del objects["Deployment", "settle-worker"]["spec"]["replicas"]
    written = json.dumps(list(objects.values()))
    return named(iter(json.loads(written.replace(f'"image": "{name}"', f'"image": "{image}"'))))


def without_additions(value: Any) -> Any:
    """Return an object without what only Helm adds."""
    if isinstance(value, dict):
        return {key: without_additions(it) for key, it in value.items() if key not in OF_HELM}
    if isinstance(value, list):
        return [without_additions(it) for it in value]
    return value


def test_the_chart_applies_what_kustomize_does() -> None:
    """Object by object: environments, probes, resources, security contexts, commands, all of it."""
    ours, theirs = without_additions(render(EVERYTHING)), kustomized()
    assert set(ours) == set(theirs)
    for key, their in theirs.items():
        if key[0] in UNLABELLED:
            del ours[key]["metadata"]["labels"]
        assert ours[key] == their, key


def _kubernetes_validate() -> Any:
    try:
        import kubernetes_validate  # noqa: PLC0415 - only the development group has it
    except ImportError:
        if os.environ.get("CI"):
            raise
        pytest.skip("no schemas: uv sync installs kubernetes-validate")
    return kubernetes_validate


def test_what_is_rendered_is_what_kubernetes_takes() -> None:
    """By the API's own schemas, also with every value that adds something."""
    kubernetes_validate = _kubernetes_validate()
    values = {
        "image": {"pullSecrets": ["registry"]},
        "nodeSelector": {"kubernetes.io/arch": "amd64"},
        "tolerations": [{"key": "settle", "operator": "Exists", "effect": "NoSchedule"}],
    }
    objects = render(values, name="billing")
    for manifest in objects.values():
        kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)
    assert all(name.startswith("billing") for _, name in objects)
    pod = objects["Deployment", "billing-worker"]["spec"]["template"]["spec"]
    assert pod["imagePullSecrets"] == [{"name": "registry"}]
    assert pod["nodeSelector"] == values["nodeSelector"]
    assert pod["tolerations"] == values["tolerations"]


def test_names_that_look_like_something_else_are_names() -> None:
    """Of a release, and of secrets."""
    kubernetes_validate = _kubernetes_validate()
    for manifest in render({"worker": {"secret": "123"}}, name="true").values():
        kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.parametrize("name", ["a" * 42, "a", "a-1"])
def test_names_are_no_longer_than_kubernetes_takes(name: str) -> None:
    """63 characters in general, and 52 of what makes jobs: its own go behind."""
    for kind, of_it in render(EVERYTHING, name=name):
        assert len(of_it) <= (52 if kind == "CronJob" else 63), kind


@pytest.mark.parametrize("name", ["a" * 43, "456", "4a", "my.app"])
def test_a_name_that_kubernetes_would_refuse_is_refused_at_once(name: str) -> None:
    """Not by a Service or a CronJob, after the table has been migrated."""
    with pytest.raises(helm.HelmRenderError, match="name of the release"):
        render(name=name)


def test_two_releases_select_pods_of_their_own() -> None:
    """In one namespace, too: by their name."""
    for name in ("one", "two"):
        spec = render(name=name)["Deployment", f"{name}-worker"]["spec"]
        assert spec["selector"]["matchLabels"]["app.kubernetes.io/instance"] == name
        labels = spec["template"]["metadata"]["labels"]
        assert spec["selector"]["matchLabels"].items() <= labels.items()


def test_the_table_is_migrated_before_pods_of_a_new_version() -> None:
    """Helm waits for the job, and puts a new one in the place of the last."""
    annotations = render()["Job", "settle-migrate"]["metadata"]["annotations"]
    assert annotations == {
        "helm.sh/hook": "pre-install,pre-upgrade",
        "helm.sh/hook-delete-policy": "before-hook-creation",
    }


@pytest.mark.parametrize("part", ["gateway", "webhooks", "migrate", "retention", "flower"])
def test_a_part_that_is_not_wanted_is_not_there(part: str) -> None:
    """Nor anything that belongs to it."""
    monitored = {"podMonitor": {"enabled": True}}
    there = render({part: {"enabled": True}, **monitored})
    assert any(name == f"settle-{part}" for _, name in there)
    left = render({part: {"enabled": False}, **monitored})
    assert not any(name == f"settle-{part}" for _, name in left)


def test_a_changed_setting_rolls_the_pods_and_their_time_to_stop() -> None:
    """Workers and gateways alike; what Flower reads has not changed."""

    def templates(settings: dict[str, str]) -> Iterator[dict[str, Any]]:
        rendered = render({"settings": settings})
        for part in ("worker", "gateway", "flower"):
            yield rendered["Deployment", f"settle-{part}"]["spec"]["template"]

    before, after = list(templates({})), list(templates({"SETTLE_STOP_TIMEOUT_SECONDS": "29.5"}))
    assert [one["spec"].get("terminationGracePeriodSeconds") for one in before] == [40, 45, None]
    assert [one["spec"].get("terminationGracePeriodSeconds") for one in after] == [50, 55, None]
    changed = [
        one["metadata"] != other["metadata"] for one, other in zip(before, after, strict=True)
    ]
    assert changed == [True, True, False]


def specs_in(value: Any) -> Iterator[dict[str, Any]]:
    """Give what is said of pods, wherever in an object that is."""
    if isinstance(value, dict):
        if "containers" in value:
            yield value
        for it in value.values():
            yield from specs_in(it)


def test_an_authority_of_ones_own_is_in_every_pod() -> None:
    """Whatever runs there connects to Redis, to PostgreSQL, or to both."""
    mount = {"name": "ca", "mountPath": "/etc/settle-ca", "readOnly": True}
    volume = {"name": "ca", "secret": {"secretName": "our-ca"}}
    rendered = render({**EVERYTHING, "caSecret": "our-ca"})
    specs = [spec for one in rendered.values() for spec in specs_in(one)]
    assert len(specs) == len(("worker", "gateway", "webhooks", "migrate", "retention", "flower"))
    for spec in specs:
        (container,) = spec["containers"]
        assert (volume in spec["volumes"], mount in container["volumeMounts"]) == (True, True)


def test_workers_by_the_length_of_a_queue_of_rabbitmq() -> None:
    """The trigger that is a comment in the manifests for kustomize."""
    objects = render({"keda": {"enabled": True, "broker": "rabbitmq", "queueLength": 2_000_000}})
    (trigger,) = objects["ScaledObject", "settle-worker"]["spec"]["triggers"]
    assert trigger["type"] == "rabbitmq"
    assert trigger["metadata"] == {
        "protocol": "amqp",
        "queueName": "event-status-updates",
        "mode": "QueueLength",
        "value": "2000000",
    }
    commented_out = (KUBERNETES / "keda" / "scaledobject.yaml").read_text("utf-8")
    ((theirs),) = yaml.safe_load(
        "\n".join(re.findall(r"^    # (- type: rabbitmq|  .*)$", commented_out, re.MULTILINE))
    )
    assert theirs["metadata"].keys() == trigger["metadata"].keys()
    authentication = objects["TriggerAuthentication", "settle-queue"]["spec"]["secretTargetRef"]
    assert authentication == [{"parameter": "host", "name": "settle-keda", "key": "host"}]
