"""The Helm chart as Helm renders it, by a wheel that has Helm in it."""

from __future__ import annotations

import os
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.deployment import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

helm: Any = import_module("helm_python") if find_spec("helm_python") else None

# A release has it: its tests fail in CI where Helm is not installed, and are skipped elsewhere.
OF_A_RELEASE = [
    pytest.mark.release,
    pytest.mark.skipif(
        helm is None and not os.environ.get("CI"), reason="no Helm: uv sync --group release"
    ),
]

__all__ = ["CHART", "EVERYTHING", "OF_A_RELEASE", "Objects", "helm", "named", "render"]
CHART = ROOT / "deploy" / "helm" / "settle"
EVERYTHING = {name: {"enabled": True} for name in ("keda", "podMonitor", "webhooks")}

Objects = dict[tuple[str, str], dict[str, Any]]


def render(values: Mapping[str, Any] | None = None, name: str = "settle") -> Objects:
    """Return what a release would apply, by kind and name."""
    with helm.Chart.load(CHART) as chart:
        files = chart.render(dict(values or {}), name=name, namespace="somewhere")
    texts = [text for path, text in files.items() if path.endswith(".yaml")]
    return named(one for text in texts for one in yaml.safe_load_all(text) if one)


def named(objects: Iterable[dict[str, Any]]) -> Objects:
    """Return objects by kind and name."""
    return {(one["kind"], one["metadata"]["name"]): one for one in objects}
