"""The Helm chart as Helm renders it, by a wheel that has Helm in it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.deployment import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

try:
    import helm_python as helm
except ImportError:
    if os.environ.get("CI"):
        raise
    pytest.skip("no Helm: uv sync installs helm-python-sdk", allow_module_level=True)

__all__ = ["CHART", "EVERYTHING", "Objects", "helm", "named", "render"]
CHART = ROOT / "deploy" / "helm" / "settle"
EVERYTHING = {"keda": {"enabled": True}, "podMonitor": {"enabled": True}}

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
