"""The tour of the API with curl alone, run as it stands, and held against what the page shows."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cli.embedded import free_port
from tests.accounts import CannotCreateUsersError, creating_role
from tests.gateway import statuses

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.gateway import Gateways
    from tests.service import Service

ROOT = Path(__file__).parents[2]
TOUR = "examples/curl/tour.sh"
# What differs from one run to the next.
TIME, POSITION = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", r"\d{13}-\d+"


@pytest.fixture
def url(service: Service, gateways: Gateways) -> Iterator[str]:
    """Give a gateway that may create events."""
    if shutil.which("curl") is None:
        if os.environ.get("CI"):
            pytest.fail("curl is not installed")
        pytest.skip("curl is not installed")
    try:
        with creating_role(service.database_url) as role_url:
            yield gateways.start(DATABASE_URL=role_url).url
    except CannotCreateUsersError as error:
        pytest.skip(str(error))


def test_a_gateway_that_is_not_there_is_said() -> None:
    """In curl's words, by an exit code, and with nothing after the first command."""
    ended = subprocess.run(
        ["bash", ROOT / TOUR],
        env={**os.environ, "SETTLE_URL": f"http://127.0.0.1:{free_port()}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 7
    assert "Failed to connect" in ended.stderr or "Couldn't connect" in ended.stderr
    assert ended.stdout.split() == ["000"]


def take_tour(url: str) -> str:
    """Return what the tour shows."""
    return subprocess.run(
        ["bash", "-v", TOUR],
        cwd=ROOT,
        env={**os.environ, "SETTLE_URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=True,
    ).stdout


def without_times(text: str) -> list[str]:
    """Return the lines of a text, with what differs left out."""
    return re.sub(POSITION, "POSITION", re.sub(TIME, "TIME", text)).strip().splitlines()


def test_the_tour_is_as_the_page_shows_it(service: Service, url: str) -> None:
    """Command by command, answer by answer, but for times."""
    page = (ROOT / "docs/http.md").read_text("utf-8")
    shown = re.search(r"^## A tour with curl\n.*?^```\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert shown is not None
    printed = take_tour(url)
    assert without_times(printed) == without_times(shown[1]), printed
    assert statuses(service, "tour_1", "tour_2", "tour_3") == ["completed", "completed", "failed"]


def test_the_tour_may_be_taken_again(url: str) -> None:
    """What has its answer already has it again, and nothing else happens."""
    take_tour(url)
    again = take_tour(f"{url}/")
    assert re.findall(r"^\d{3}$", again, re.MULTILINE) == [*["200"] * 4, "409", "200"]
    heard = [json.loads(line) for line in re.findall(r"^data: (.*)$", again, re.MULTILINE)]
    assert [one["reason"] for one in heard] == ["already_completed", None, None, "not_found"]
