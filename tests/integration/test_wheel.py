"""What is built of the service, to be installed."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zipfile import ZipFile

import pytest

from tests.building import ROOT, uv

if TYPE_CHECKING:
    from pathlib import Path

PACKAGES = ("cli", "worker", "gateway", "webhooks", "service", "tasks", "db")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel, as anybody does."""
    folder = tmp_path_factory.mktemp("wheel")
    uv("build", "--quiet", "--package", "settle", "--wheel", "--out-dir", folder)
    (wheel,) = folder.glob("*.whl")
    return wheel


def test_every_file_of_every_package_is_in_it(wheel: Path) -> None:
    """Scripts for Redis and migrations too, which are no Python modules."""
    files = {
        str(file.relative_to(ROOT))
        for package in PACKAGES
        for file in ROOT.joinpath(package).rglob("*")
        if file.is_file() and file.parent.name != "__pycache__"
    }
    assert any(name.endswith(".lua") for name in files)
    with ZipFile(wheel) as packed:
        assert files <= set(packed.namelist())
