"""A Prometheus of the tests' own, which watches with the rules that ship, made quicker.

What scrapes is deploy/prometheus/prometheus.yml, but for where the targets are; what
is evaluated is deploy/prometheus/alerts.yml, expression by expression. Every duration
in it is divided by the same number, so that ten minutes pass in seconds. Scrapes come
more often too, but not so often that a busy machine would answer them too late.
"""

from __future__ import annotations

import json
import re
import shutil
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import yaml

from cli.embedded import Server, ServerUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER = Path(__file__).parents[1] / "deploy" / "prometheus"
RULES = FOLDER / "alerts.yml"
QUICKER = 60
SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
SCRAPED_EVERY = "1s"
ANSWER_SECONDS = 10


class Prometheus(Server):
    """A server that scrapes whatever it is told to, and evaluates the alerts."""

    def __init__(self, directory: Path, quicker_by: int = QUICKER) -> None:
        """Prepare a server that scrapes nobody yet.

        Args:
            directory: Where its files are kept.
            quicker_by: What durations are divided by.

        Raises:
            ServerUnavailable: Prometheus is not installed here.
        """
        if not shutil.which("prometheus"):
            raise ServerUnavailable("no Prometheus: install Debian's prometheus")
        super().__init__(directory)
        self.directory.mkdir(parents=True)
        self._quicker_by = quicker_by
        self._configuration = scrape_configuration()
        # A gateway without keys looks at none, but the file must be there.
        self.use_key("none")
        for job in self._configuration["scrape_configs"]:
            name = job["job_name"]
            job["file_sd_configs"] = [{"files": [f"{name}.json"], "refresh_interval": "1s"}]
            self.scrape(name)

    def command(self) -> list[str]:
        """Return the command line that runs the server in the foreground."""
        written = yaml.safe_dump(self._configuration, sort_keys=False)
        (self.directory / "prometheus.yml").write_text(written, "utf-8")
        rules = quicker(yaml.safe_load(RULES.read_text("utf-8")), self._quicker_by)
        (self.directory / RULES.name).write_text(yaml.safe_dump(rules), "utf-8")
        return [
            "prometheus",
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            f"--web.listen-address=127.0.0.1:{self.port}",
        ]

    def answers(self) -> bool:
        """Return whether it is ready."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=1):
                return True
        except OSError:
            return False

    def scrape(self, job: str, *ports: int) -> None:
        """Scrape just these from now on, for one of the jobs that ship."""
        text = json.dumps([{"targets": [f"127.0.0.1:{port}" for port in ports]}])
        # At once, or half of it might be read.
        new = self.directory / "new"
        new.write_text(text, "utf-8")
        new.replace(self.directory / f"{job}.json")

    def use_key(self, key: str) -> None:
        """Show a gateway this key."""
        (self.directory / "gateway.key").write_text(key, "utf-8")

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the series that an expression has just now."""
        found: list[dict[str, Any]] = self._ask("query", query=expression)["result"]
        return found

    def alert(self, name: str) -> list[dict[str, Any]]:
        """Return the pending and the firing alerts of a rule."""
        return [one for one in self._ask("alerts")["alerts"] if one["labels"]["alertname"] == name]

    def _ask(self, what: str, **parameters: str) -> Any:
        url = f"http://127.0.0.1:{self.port}/api/v1/{what}?{urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=ANSWER_SECONDS) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(error.read().decode()) from error


def scrape_configuration() -> dict[str, Any]:
    """Return the configuration that ships, with quick scrapes, without where the targets are."""
    shipped: dict[str, Any] = yaml.safe_load((FOLDER / "prometheus.yml").read_text("utf-8"))
    shipped["global"] = dict.fromkeys(shipped["global"], SCRAPED_EVERY)
    for job in shipped["scrape_configs"]:
        for targets in ("dns_sd_configs", "static_configs"):
            job.pop(targets, None)
    return shipped


def quicker(rules: Mapping[str, Any], by: int) -> dict[str, Any]:
    """Return rules with every duration divided: how long something must be so, and ranges."""
    groups = [
        {**group, "rules": [_quicker_rule(rule, by) for rule in group["rules"]]}
        for group in rules["groups"]
    ]
    return {**rules, "groups": groups}


def _quicker_rule(rule: dict[str, Any], by: int) -> dict[str, Any]:
    waits = {"for": shorter(rule["for"], by)} if "for" in rule else {}
    return {**rule, "expr": quicker_expression(rule["expr"], by), **waits}


def quicker_expression(expression: str, by: int = QUICKER) -> str:
    """Return an expression with its ranges divided, and the ages that it compares with."""
    ages = re.sub(r"(?<=time\(\) - )\d+", lambda age: str(int(age[0]) // by), expression)
    return re.sub(r"\[.*?\]", lambda range_: shorter(range_[0], by), ages)


def shorter(durations: str, by: int = QUICKER) -> str:
    """Return durations divided, in milliseconds; what stands between them is kept."""
    return re.sub(
        r"(\d+)([smhd])\b",
        lambda it: f"{int(it[1]) * SECONDS[it[2]] * 1_000 // by}ms",
        durations,
    )
