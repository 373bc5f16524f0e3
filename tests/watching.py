"""A worker as those see it who watch it over HTTP."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from cli.embedded.places import free_port


class Page(NamedTuple):
    """What a worker answered."""

    status: int
    text: str


class Watched:
    """The port of a worker."""

    def __init__(self) -> None:
        """Find a port; start the worker with these settings."""
        self.port = free_port()
        self.settings = {"SETTLE_METRICS_PORT": str(self.port)}

    def get(self, path: str) -> Page:
        """Ask for a page."""
        request = f"http://127.0.0.1:{self.port}{path}"
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return Page(answer.status, answer.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return Page(error.code, error.read().decode())

    def metrics(self) -> dict[str, float]:
        """Return every series, by its name and the values of its labels."""
        return {
            sample.name + "".join(f"[{value}]" for value in sample.labels.values()): sample.value
            for family in text_string_to_metric_families(self.get("/metrics").text)
            for sample in family.samples
        }
