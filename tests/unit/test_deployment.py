"""The deployment files against the real commands, settings and grace periods."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import click
import pytest
import yaml
from celery.bin.base import CLIContext
from celery.bin.celery import celery
from flower.command import is_flower_envvar
from flower.options import default_options

from tasks.names import QUEUE
from tests.deployment import (
    COMPOSE,
    KUBERNETES,
    ROOT,
    UNIT,
    Workload,
    compose,
    documents,
    manifests,
    pods,
    secrets,
    unit,
    variables,
    workloads,
)
from worker.celery import app
from worker.cli import main
from worker.settings import Settings, variable
from worker.stopping import GRACE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

WORKLOADS = workloads()
OURS = [workload for workload in WORKLOADS if workload.command[:1] in (["celery"], ["settle"])]
WORKERS = [
    workload for workload in OURS if workload.command[:4] == ["celery", "-A", "worker", "worker"]
]
PODS = [pytest.param(pod, id=name) for name, pod in pods()]
PORT = "SETTLE_METRICS_PORT"
# What the images of others read.
OF_OTHERS = {
    *("POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD", "REDISCLI_AUTH"),
    *("RABBITMQ_DEFAULT_USER", "RABBITMQ_DEFAULT_PASS", "GF_SECURITY_ADMIN_PASSWORD"),
}


def place(workload: Workload) -> str:
    """Return the id of a test."""
    return workload.place


def parse(command: Sequence[str]) -> None:
    """Let the real command line take a command to pieces, without running it.

    Raises:
        click.UsageError: It does not understand it.
    """
    group: click.Command = {"settle": main, "celery": celery}[command[0]]
    context = group.make_context(command[0], list(command[1:]))
    context.obj = CLIContext(app=app, no_color=True, workdir=None)
    while isinstance(context.command, click.Group):
        arguments = [*context._protected_args, *context.args]
        name, subcommand, rest = context.command.resolve_command(context, arguments)
        assert subcommand is not None
        context = subcommand.make_context(name, rest, parent=context)
    for option in context.params.get("tornado_argv", ()):
        assert option.split("=")[0].removeprefix("--") in default_options, option


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=str(path.relative_to(ROOT)))
        for path in [COMPOSE, *sorted((ROOT / "deploy").rglob("*.y*ml"))]
    ],
)
def test_every_file_is_yaml(path: Path) -> None:
    """And says something."""
    assert all(documents(path))


@pytest.mark.parametrize("workload", OURS, ids=place)
def test_commands_and_probes_are_understood(workload: Workload) -> None:
    """By the command lines themselves."""
    for command in [workload.command, *workload.probes]:
        if command[0] in ("settle", "celery"):
            parse(command)


@pytest.mark.parametrize(
    "command", [["settle", "nothing"], ["celery", "-A", "worker", "worker", "-y"]]
)
def test_a_command_that_is_none_would_be_found(command: list[str]) -> None:
    """The check above checks."""
    with pytest.raises(click.UsageError):
        parse(command)


@pytest.mark.parametrize("workload", WORKLOADS, ids=place)
def test_variables_are_known_to_who_reads_them(workload: Workload) -> None:
    """A variable with a mistake in its name is nobody's."""
    ours = {variable(name) for name in Settings.model_fields}
    names = set(workload.environment)
    if workload in OURS:
        assert {name for name in names - ours if not is_flower_envvar(name)} == set()
    else:
        assert names <= OF_OTHERS


@pytest.mark.parametrize("workload", OURS, ids=place)
def test_values_are_valid_settings(workload: Workload, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that is set, taken together."""
    for name in Settings.model_fields:
        monkeypatch.delenv(variable(name), raising=False)
    for name, value in workload.environment.items():
        monkeypatch.setenv(name, str(value))
    Settings()


def test_every_variable_of_the_compose_file_is_in_the_example() -> None:
    """`.env.example` says all there is to choose."""
    names = set(re.findall(r"(?<!\$)\$\{(\w+)", COMPOSE.read_text("utf-8")))
    example = (ROOT / ".env.example").read_text("utf-8")
    assert names | {"COMPOSE_PROFILES"} == set(re.findall(r"^#?(\w+)=", example, re.MULTILINE))


@pytest.mark.parametrize("workload", WORKERS, ids=place)
def test_a_worker_is_given_the_time_to_stop(workload: Workload) -> None:
    """More than its own limit, after which it ends itself."""
    own = Settings.model_fields["stop_timeout_seconds"].default
    own = float(workload.environment.get("SETTLE_STOP_TIMEOUT_SECONDS", own))
    assert workload.grace_seconds is not None
    assert workload.grace_seconds > own + GRACE_SECONDS


def test_images_are_pinned() -> None:
    """At least to a minor version; our own has the version that is deployed."""
    bases = re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    images = {*bases, *(workload.image for workload in workloads() if workload.image)}
    loose = {image for image in images if not re.search(r":v?\d+\.\d+", image)}
    assert loose == {"settle", "settle:local"}


def test_services_of_the_compose_file() -> None:
    """Whatever stays is watched, reaps its children, and listens on loopback alone."""
    for name, service in compose().items():
        assert service["init"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert ("healthcheck" in service) == (service["restart"] != "no"), name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name


def test_what_the_compose_file_mounts_exists() -> None:
    """Docker would make a missing folder, as root, and say nothing."""
    volumes = [volume for service in compose().values() for volume in service.get("volumes", [])]
    mounted = [volume.split(":")[0] for volume in volumes if volume.startswith("./")]
    rules = documents(ROOT / "deploy/prometheus/prometheus.yml")[0]["rule_files"]
    paths = [*mounted, *(f"deploy/prometheus/{rule}" for rule in rules)]
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_metrics_port_is_the_same_everywhere() -> None:
    """Where workers listen is where they are asked."""
    scrape = documents(ROOT / "deploy/prometheus/prometheus.yml")[0]["scrape_configs"]
    (asked,) = (job["dns_sd_configs"][0]["port"] for job in scrape if job["job_name"] == "settle")
    (pod,) = (pod for name, pod in pods() if name == "settle-worker")
    assert compose()["worker"]["environment"][PORT] == str(asked)
    assert variables(KUBERNETES / "settings.env")[PORT] == str(asked)
    assert pod["containers"][0]["ports"] == [{"name": "metrics", "containerPort": asked}]


@pytest.mark.parametrize("pod", PODS)
def test_pods_are_restricted(pod: dict[str, Any]) -> None:
    """As the restricted Pod Security Standard demands, and read-only."""
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert [volume["name"] for volume in container["volumeMounts"]] == ["tmp"]
    assert not pod["automountServiceAccountToken"]
    assert not pod["enableServiceLinks"]
    assert {"requests", "limits"} == set(container["resources"])


def test_manifests_are_what_kubernetes_takes() -> None:
    """By the API's own schemas, and with no field that they do not have."""
    try:
        import kubernetes_validate  # noqa: PLC0415 - only the development group has it
    except ImportError:
        if os.environ.get("CI"):
            raise
        pytest.skip("no schemas: uv sync installs kubernetes-validate")
    kinds = set()
    for manifest in manifests():
        if manifest["apiVersion"] not in ("keda.sh/v1alpha1", "monitoring.coreos.com/v1"):
            kubernetes_validate.validate(
                manifest, kubernetes_validate.latest_version(), strict=True
            )
            kinds.add(manifest["kind"])
    assert kinds >= {"Deployment", "Job", "CronJob", "PodDisruptionBudget", "Service", "Secret"}


def test_the_queue_that_workers_are_scaled_by() -> None:
    """KEDA's objects have what its scalers require, of our queue and our Deployment."""
    objects = {manifest["kind"]: manifest for manifest in manifests()}
    spec, authentication = objects["ScaledObject"]["spec"], objects["TriggerAuthentication"]
    (trigger,) = spec["triggers"]
    assert spec["scaleTargetRef"] == {"name": "settle-worker"}
    assert spec["minReplicaCount"] <= spec["fallback"]["replicas"] <= spec["maxReplicaCount"]
    assert trigger["type"] == "redis"
    assert trigger["metadata"]["listName"] == QUEUE
    assert all(isinstance(value, str) for value in trigger["metadata"].values())
    assert trigger["authenticationRef"]["name"] == authentication["metadata"]["name"]


def test_kustomize_names_every_file() -> None:
    """None is forgotten, and none is missing; secrets are the user's own."""
    named = {KUBERNETES / "secrets.example.yaml"}
    for path in KUBERNETES.rglob("kustomization.yaml"):
        named |= {path, *(path.parent / name for name in documents(path)[0].get("resources", []))}
    assert named == set(KUBERNETES.rglob("*.yaml"))
    root = documents(KUBERNETES / "kustomization.yaml")[0]
    assert [source["name"] for source in root["configMapGenerator"]] == ["settle"]
    assert set(secrets()) == {"settle-worker", "settle-owner", "settle-flower"}


def test_the_unit_stops_its_worker_alone() -> None:
    """SIGTERM reaches the worker, not its pool, and it comes back whatever happened."""
    service = unit()["Service"]
    assert service["KillMode"] == "mixed"
    assert service["Restart"] == "always"
    assert UNIT.name == "settle-worker@.service"
    assert yaml.safe_load(service["NoNewPrivileges"]) is True
