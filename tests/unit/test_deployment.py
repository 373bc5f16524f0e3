"""The deployment files against the real commands, settings and grace periods."""

from __future__ import annotations

import os
import re
import tomllib
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click
import pytest
import yaml
from flower.command import is_flower_envvar

from gateway.access.keys import Keys
from service.settings import Settings, variable
from service.watchdog import GRACE_SECONDS
from settle_client.names import QUEUE
from tests.deployment import (
    COMPOSE,
    KUBERNETES,
    ROOT,
    SYSTEMD,
    Workload,
    compose,
    documents,
    manifests,
    parse,
    pods,
    secrets,
    unit,
    variables,
    workloads,
)
from webhooks.endpoints import Endpoints

if TYPE_CHECKING:
    from pathlib import Path

WORKLOADS = workloads()
OURS = [workload for workload in WORKLOADS if workload.command[:1] in (["celery"], ["settle"])]
WORKERS = [
    workload for workload in OURS if workload.command[:4] == ["celery", "-A", "worker", "worker"]
]
GATEWAYS = [workload for workload in OURS if workload.command == ["settle", "gateway"]]
WEBHOOKS = [workload for workload in OURS if workload.command == ["settle", "webhooks"]]
PODS = [pytest.param(pod, id=name) for name, pod in pods()]
PORT = "SETTLE_METRICS_PORT"
# What the images of others read.
OF_OTHERS = {
    *("POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD", "REDISCLI_AUTH"),
    *("RABBITMQ_DEFAULT_USER", "RABBITMQ_DEFAULT_PASS", "RABBITMQ_SCHEDULER_BIND_TYPE"),
    "GF_SECURITY_ADMIN_PASSWORD",
}


def place(workload: Workload) -> str:
    """Return the id of a test."""
    return workload.place


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=str(path.relative_to(ROOT)))
        for path in [COMPOSE, *sorted((ROOT / "deploy").rglob("*.y*ml"))]
        # What Helm makes YAML of: tests/unit/test_helm_chart.py.
        if path.parent.name != "templates"
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


@pytest.mark.parametrize("workload", [*WORKERS, *WEBHOOKS], ids=place)
def test_a_worker_is_given_the_time_to_stop(workload: Workload) -> None:
    """More than its own limit, after which it ends itself."""
    assert workload.grace_seconds is not None
    assert workload.grace_seconds > seconds(workload, "stop_timeout_seconds") + GRACE_SECONDS


@pytest.mark.parametrize("workload", GATEWAYS, ids=place)
def test_a_gateway_is_given_the_time_to_stop(workload: Workload) -> None:
    """Requests are answered first, and a batch that waits for a lock gives up."""
    own = seconds(workload, "stop_timeout_seconds") + seconds(workload, "lock_timeout_seconds")
    assert workload.grace_seconds is not None
    assert workload.grace_seconds > own


def seconds(workload: Workload, name: str) -> float:
    """Return a setting as a workload has it."""
    return float(workload.environment.get(variable(name), Settings.model_fields[name].default))


def test_the_gateway_is_where_it_is_asked_for() -> None:
    """By probes and by Prometheus, and its keys are in the folder that it is given."""
    assert len(GATEWAYS) == 3
    assert {workload.environment["SETTLE_GATEWAY_PORT"] for workload in GATEWAYS} == {"8000"}
    scrape = documents(ROOT / "deploy/prometheus/prometheus.yml")[0]["scrape_configs"]
    (job,) = (job for job in scrape if job["job_name"] == "settle-gateway")
    assert job["dns_sd_configs"][0]["port"] == 8000
    (pod,) = (pod for name, pod in pods() if name == "settle-gateway")
    container = pod["containers"][0]
    assert container["ports"] == [{"name": "http", "containerPort": 8000}]
    assert container["readinessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
    service = compose()["gateway"]
    assert service["ports"] == ["127.0.0.1:8000:8000"]
    for workload, folder in (
        (GATEWAYS[0], service["volumes"][0].split(":")[1]),
        (GATEWAYS[1], container["volumeMounts"][-1]["mountPath"]),
    ):
        assert workload.environment["SETTLE_GATEWAY_KEYS_FILE"] == f"{folder}/keys.toml"


def test_examples_of_keys_are_what_the_gateway_reads(tmp_path: Path) -> None:
    """In the folder that compose mounts, and in the secret."""
    commented_out = (ROOT / "deploy/gateway/keys.example.toml").read_text("utf-8")
    example = re.sub(r"^#(?=\S)", "", commented_out, flags=re.MULTILINE)
    file = tmp_path / "keys.toml"
    for text in (example, secrets()["settle-gateway-keys"]["keys.toml"]):
        file.write_text(text, "utf-8")
        Keys(file)


def test_examples_of_endpoints_are_what_webhooks_read(tmp_path: Path) -> None:
    """In the folder that compose mounts, and in the secret."""
    commented_out = (ROOT / "deploy/webhooks/webhooks.example.toml").read_text("utf-8")
    example = re.sub(r"^#(?=\S)", "", commented_out, flags=re.MULTILINE)
    file = tmp_path / "webhooks.toml"
    for text in (example, secrets()["settle-webhooks-endpoints"]["webhooks.toml"]):
        file.write_text(text, "utf-8")
        Endpoints(file)
    assert len(WEBHOOKS) == 2
    for workload in WEBHOOKS:
        assert workload.environment["SETTLE_WEBHOOKS_FILE"] == "/etc/settle/webhooks.toml"
        assert workload.environment["SETTLE_METRICS_PORT"] == "9464"


def test_the_image_can_speak_http() -> None:
    """It has the extras that the gateway and webhooks need."""
    lines = re.findall(r"^RUN uv sync.*$", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    assert lines
    assert all("--extra http --extra webhooks" in line for line in lines)


def test_the_image_has_every_package() -> None:
    """What the wheel is made of, and the client, which is a package of its own."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]
    needed = {
        *project["hatch"]["build"]["targets"]["wheel"]["only-include"],
        *project["uv"]["workspace"]["members"],
        *("README.md", "LICENSE", "pyproject.toml", "uv.lock"),
    }
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    lines = re.findall(r"^COPY (?!--)(.+) \S+$", dockerfile, re.MULTILINE)
    copied = {name for line in lines for name in line.split()}
    # The client's dependencies are read before its code is there.
    assert copied == needed | {"client/pyproject.toml"}
    let_in = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text("utf-8"), re.MULTILINE)
    assert set(let_in) == needed
    assert dockerfile.index("--no-install-workspace") < dockerfile.index("COPY client client")


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
    tmp, *others = container["volumeMounts"]
    assert tmp["name"] == "tmp"
    assert all(volume["readOnly"] for volume in others)
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
    assert set(secrets()) == {
        *("settle-worker", "settle-owner", "settle-housekeeper", "settle-flower"),
        *("settle-gateway", "settle-gateway-keys", "settle-gateway-metrics"),
        *("settle-webhooks", "settle-webhooks-endpoints"),
    }


def test_secrets_that_are_used_are_in_the_example() -> None:
    """As variables, as files and by the Prometheus operator."""
    sources = [source for _, pod in pods() for source in pod["containers"][0]["envFrom"]]
    used = {source["secretRef"]["name"] for source in sources if "secretRef" in source}
    volumes = [volume for _, pod in pods() for volume in pod["volumes"]]
    used |= {volume["secret"]["secretName"] for volume in volumes if "secret" in volume}
    for monitor in (it for it in manifests() if it["kind"] == "PodMonitor"):
        (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
        if authorization := endpoint.get("authorization"):
            used.add(authorization["credentials"]["name"])
            assert authorization["credentials"]["key"] in secrets()["settle-gateway-metrics"]
    assert used == set(secrets())


@pytest.mark.parametrize(
    ("name", "users"),
    [
        ("settle-worker", {"settle-worker"}),
        ("settle-gateway", {"settle-gateway", "settle-producer"}),
        ("settle-webhooks", {"settle-webhooks"}),
        ("settle-retention", {"settle-housekeeper"}),
        ("settle-flower", {"settle-operator"}),
    ],
)
def test_whatever_runs_has_its_own_user_of_redis(name: str, users: set[str]) -> None:
    """Those that docs/privileges.md makes for it, and no URL of another."""
    (workload,) = (it for it in OURS if it.place == f"kubernetes {name}")
    environment = workload.environment.items()
    urls = [value for _, value in environment if value.startswith("redis://")]
    assert {urlsplit(url).username for url in urls} == users


def test_the_unit_stops_its_worker_alone() -> None:
    """SIGTERM reaches the worker, not its pool."""
    service = unit(SYSTEMD / "settle-worker@.service")["Service"]
    assert service["KillMode"] == "mixed"


@pytest.mark.parametrize("path", sorted(SYSTEMD.glob("*.service")), ids=lambda path: path.stem)
def test_units_come_back_and_are_shut_in(path: Path) -> None:
    """Whatever happened; and all of them alike."""
    service = unit(path)["Service"]
    assert service["Restart"] == "always"
    assert yaml.safe_load(service["NoNewPrivileges"]) is True
    worker = unit(SYSTEMD / "settle-worker@.service")["Service"]
    for name in worker:
        if name.startswith(("Protect", "Private", "Restrict", "SystemCall", "Capability")):
            assert service[name] == worker[name], name


def test_a_flower_that_others_reach_asks_for_a_password() -> None:
    """By itself it listens on loopback, where a container's port leads nowhere."""
    flowers = [workload for workload in workloads() if "flower" in workload.command]
    assert [flower.place for flower in flowers] == ["compose flower", "kubernetes settle-flower"]
    for flower in flowers:
        assert "--address=0.0.0.0" in flower.command
        assert ":" in flower.environment["FLOWER_BASIC_AUTH"]
