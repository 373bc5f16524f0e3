"""The version, the image's labels, and the workflow that makes a release of a tag."""

from __future__ import annotations

import os
import re
import subprocess
import sysconfig
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.versions import ROOT, VERSION, project, said_elsewhere

if TYPE_CHECKING:
    from pathlib import Path

WORKFLOW = ROOT / ".github" / "workflows" / "release.yml"
JOBS: dict[str, Any] = yaml.safe_load(WORKFLOW.read_text("utf-8"))["jobs"]
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
ARGUMENTS = set(re.findall(r"^ARG (\w+)$", DOCKERFILE, re.MULTILINE))
LABELS = dict(re.findall(r'org\.opencontainers\.image\.([\w.]+)="(.*?)"', DOCKERFILE))
# Those that the image specification has, of what there is to say.
KNOWN_LABELS = {
    *("base.name", "created", "description", "licenses", "revision", "source", "title"),
    "version",
}


@pytest.mark.parametrize(("place", "version"), said_elsewhere().items())
def test_the_version_is_the_same_everywhere(place: str, version: str) -> None:
    """In both distributions, the chart, the manifests, the changelog and the contracts."""
    assert version == VERSION, place


def test_an_image_says_what_it_is() -> None:
    """By the labels of the image specification; what differs from build to build is given."""
    assert LABELS.keys() == KNOWN_LABELS
    assert LABELS["description"] == project()["description"]
    assert LABELS["licenses"] == project()["license"]
    *_, base = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert LABELS["base.name"] == f"docker.io/library/{base}"
    given = {name for value in LABELS.values() for name in re.findall(r"\$\{(\w+)\}", value)}
    assert given == ARGUMENTS


def test_the_workflow_gives_the_image_what_it_says() -> None:
    """Every argument; and the build attests where it comes from and what is in it."""
    (build,) = (step for step in JOBS["image"]["steps"] if step.get("id") == "build")
    assert set(re.findall(r'--build-arg "(\w+)=', build["run"])) == ARGUMENTS
    assert "--provenance mode=max" in build["run"]
    assert "--sbom true" in build["run"]


@pytest.mark.parametrize(
    ("kind", "name", "changelog", "said"),
    [
        pytest.param("tag", "v1.2.3", "## Unreleased\n\n## 1.2.3 - 2026-01-01\n", "", id="fits"),
        pytest.param("tag", "v1.2.4", "## 1.2.3 - 2026-01-01\n", "pyproject.toml", id="other"),
        pytest.param(
            "tag",
            "v1.2.3",
            "## Unreleased\n\n- More.\n\n## 1.2.3 - 2026-01-01\n\n- It.\n",
            "Unreleased",
            id="with what is not of this version",
        ),
        pytest.param("branch", "main", "## Unreleased\n\n- More.\n", "", id="no tag"),
    ],
)
def test_a_tag_is_for_what_is_said_to_be_in_it(
    tmp_path: Path, kind: str, name: str, changelog: str, said: str
) -> None:
    """Its name is that of the version, and the version has all that is new."""
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.2.3"\n')
    (tmp_path / "CHANGELOG.md").write_text(changelog)
    (read,) = (step["run"] for step in JOBS["version"]["steps"] if step.get("id") == "read")
    given = {"GITHUB_REF_TYPE": kind, "GITHUB_REF_NAME": name, "GITHUB_OUTPUT": "output"}
    # As the runner runs it.
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", read]
    ended = subprocess.run(
        command, cwd=tmp_path, env=os.environ | given, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, said in ended.stdout) == (1 if said else 0, True), ended.stderr
    assert said or (tmp_path / "output").read_text() == "version=1.2.3\n"


def test_nothing_is_published_that_was_not_tested() -> None:
    """By what CI runs; and whatever is published has its provenance attested before."""
    assert [step.get("run") for step in JOBS["test"]["steps"]] == [None, "bash .ci/run"]
    assert "test" in JOBS["build"]["needs"]
    assert "test" in JOBS["image"]["needs"]
    assert JOBS["publish"]["needs"] == ["build", "image"]
    for name in ("build", "image"):
        used = [step.get("uses", "").split("@")[0] for step in JOBS[name]["steps"]]
        assert "actions/attest-build-provenance" in used


def test_a_release_has_what_the_script_makes() -> None:
    """And the script is what makes it."""
    runs = [step.get("run", "") for step in JOBS["build"]["steps"]]
    assert "bash .ci/release dist" in runs
    assert "dist/notes.md dist/settle*" in JOBS["publish"]["steps"][-1]["run"]


@pytest.mark.parametrize("name", JOBS)
def test_a_job_may_do_what_it_must(name: str) -> None:
    """For so long, with no secret but the repository's own token."""
    assert JOBS[name]["timeout-minutes"]
    assert JOBS[name]["permissions"]
    secrets = set(re.findall(r"secrets\.(\w+)", yaml.safe_dump(JOBS[name])))
    assert secrets <= {"GITHUB_TOKEN"}


@pytest.mark.release
def test_nobody_can_slip_anything_into_the_workflow() -> None:
    """As far as zizmor knows: actions by their commits, no template in a script, few rights."""
    command = [
        f"{sysconfig.get_path('scripts')}/zizmor",
        "--offline",
        "--no-progress",
        "--persona",
        "pedantic",
        str(WORKFLOW),
    ]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
