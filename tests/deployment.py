"""What the deployment files run, read from the files: docker-compose.yml and deploy/."""

from __future__ import annotations

import configparser
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
import yaml
from celery.bin.base import CLIContext
from celery.bin.celery import celery
from flower.options import default_options

from cli.main import main
from worker.celery import app

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).parents[1]
COMPOSE = ROOT / "docker-compose.yml"
KUBERNETES = ROOT / "deploy" / "kubernetes"
SYSTEMD = ROOT / "deploy" / "systemd"
VARIABLE = re.compile(r"(?<!\$)\$\{\w+(:-(?P<default>[^${}]*)|:\?[^${}]*)?\}")
POD_PATHS = {
    "Deployment": ("spec", "template", "spec"),
    "Job": ("spec", "template", "spec"),
    "CronJob": ("spec", "jobTemplate", "spec", "template", "spec"),
}


class Workload(NamedTuple):
    """One kind of process that a deployment file runs."""

    place: str
    image: str
    command: list[str]
    probes: list[list[str]]
    environment: dict[str, str]
    grace_seconds: float | None


def documents(path: Path) -> list[Any]:
    """Return the YAML documents of a file."""
    return list(yaml.safe_load_all(path.read_text("utf-8")))


def compose() -> dict[str, Any]:
    """Return the services of the compose file, with the variables' defaults."""
    text, before = COMPOSE.read_text("utf-8"), ""
    # From the inside out, for a default may name another variable.
    while text != before:
        before, text = text, VARIABLE.sub(lambda match: match["default"] or "CHOSEN", text)
    services: dict[str, Any] = yaml.safe_load(text)["services"]
    return services


def manifests() -> list[dict[str, Any]]:
    """Return the Kubernetes objects, without kustomize's own files."""
    return [
        document
        for path in sorted(KUBERNETES.rglob("*.yaml"))
        if path.name != "kustomization.yaml"
        for document in documents(path)
    ]


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    """Give the pod template of every Kubernetes object that has one."""
    for manifest in manifests():
        if path := POD_PATHS.get(manifest["kind"]):
            pod: dict[str, Any] = manifest
            for key in path:
                pod = pod[key]
            yield manifest["metadata"]["name"], pod


def workloads() -> list[Workload]:
    """Return everything that the deployment files run."""
    systemd = (_from_systemd(path) for path in sorted(SYSTEMD.glob("*.service")))
    return [*_from_compose(), *_from_kubernetes(), *systemd]


def _from_compose() -> Iterator[Workload]:
    for name, service in compose().items():
        probe = service.get("healthcheck", {}).get("test", [])
        grace = service.get("stop_grace_period")
        yield Workload(
            f"compose {name}",
            service["image"],
            service.get("command", []),
            [probe[1:]] if probe else [],
            service.get("environment", {}),
            float(grace.removesuffix("s")) if grace else None,
        )


def _from_kubernetes() -> Iterator[Workload]:
    sources = {"settle": variables(KUBERNETES / "settings.env"), **secrets()}
    for name, pod in pods():
        (container,) = pod["containers"]
        environment = {entry["name"]: entry["value"] for entry in container.get("env", [])}
        for source in container["envFrom"]:
            (reference,) = source.values()
            environment |= sources[reference["name"]]
        yield Workload(
            f"kubernetes {name}",
            container["image"],
            container["args"],
            [
                container[probe]["exec"]["command"]
                for probe in ("startupProbe", "livenessProbe", "readinessProbe")
                if "exec" in container.get(probe, {})
            ],
            environment,
            pod.get("terminationGracePeriodSeconds"),
        )


def _from_systemd(path: Path) -> Workload:
    service = unit(path)["Service"]
    # As systemd fills it in: the instance and the host.
    command = shlex.split(service["ExecStart"].replace("%i", "8000").replace("%H", "host"))
    own = service.get("Environment", "").replace("%i", "8000")
    example = SYSTEMD / Path(service["EnvironmentFile"]).with_suffix(".env.example").name
    return Workload(
        f"systemd {path.stem}",
        "",
        [Path(command[0]).name, *command[1:]],
        [],
        dict(setting.split("=", 1) for setting in own.split()) | variables(example),
        float(service["TimeoutStopSec"]),
    )


def unit(path: Path) -> configparser.ConfigParser:
    """Return a systemd unit; of an option that comes twice, the last."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(path, "utf-8")
    return parser


def secrets() -> dict[str, dict[str, str]]:
    """Return the example secrets by name."""
    return {
        secret["metadata"]["name"]: secret["stringData"]
        for secret in documents(KUBERNETES / "secrets.example.yaml")
    }


def variables(path: Path) -> dict[str, str]:
    """Return the variables of an environment file."""
    lines = path.read_text("utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("# "))


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
        if not arguments and context.command.invoke_without_command:
            break
        name, subcommand, rest = context.command.resolve_command(context, arguments)
        assert subcommand is not None
        context = subcommand.make_context(name, rest, parent=context)
    for option in context.params.get("tornado_argv", ()):
        assert option.split("=")[0].removeprefix("--") in default_options, option
