"""The version of the source, and where else it is said."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]


def project(folder: str = ".") -> dict[str, Any]:
    """Return what a pyproject.toml says of a distribution."""
    said: dict[str, Any] = tomllib.loads((ROOT / folder / "pyproject.toml").read_text("utf-8"))
    return dict(said["project"])


VERSION = str(project()["version"])


def said_elsewhere() -> dict[str, str]:
    """Return every other place that has a version, with the one that it has."""
    chart = yaml.safe_load((ROOT / "deploy/helm/settle/Chart.yaml").read_text("utf-8"))
    kustomization = (ROOT / "deploy/kubernetes/kustomization.yaml").read_text("utf-8")
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    contracts = {
        name: json.loads((ROOT / "contracts" / name).read_text("utf-8"))["info"]["version"]
        for name in ("openapi.json", "asyncapi.json")
    }
    (client,) = (one for one in project()["dependencies"] if one.startswith("settle-client"))
    return {
        "client": str(project("client")["version"]),
        # Another one may be another's: the service is on no index, and neither is its client.
        "client that the service needs": client.partition("==")[2],
        "chart": chart["version"],
        "image of the chart": chart["appVersion"],
        "image for kustomize": yaml.safe_load(kustomization)["images"][0]["newTag"],
        "changelog": re.findall(r"^## (\d\S+) - \d{4}-\d\d-\d\d$", changelog, re.MULTILINE)[0],
        **contracts,
    }
