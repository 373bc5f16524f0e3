"""Variables that are misspelt: told, with the right name."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from cli.doctor.consistency import Setup, spelling
from cli.doctor.workers import Workers
from cli.main import main
from service.finding import Verdict
from service.settings import load_settings
from service.spelling import misspelt


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("SETTLE_BATCH_MAX_UPDATE", "is SETTLE_BATCH_MAX_UPDATES meant?"),
        ("SETTLE_BATCHMAXUPDATES", "is SETTLE_BATCH_MAX_UPDATES meant?"),
        ("settle_log_fromat", "is SETTLE_LOG_FORMAT meant?"),
        ("SETTLE_DATABASE_URL", "is DATABASE_URL meant?"),
        ("SETTLE_QQQ", "settle config shows those there are"),
        ("SETTLE_FOO", "settle config shows those there are"),
    ],
)
def test_the_nearest_setting_is_named(name: str, hint: str) -> None:
    """Where there is one."""
    assert misspelt([name]) == {name: hint}


@pytest.mark.parametrize(
    "name",
    ["SETTLE_BATCH_MAX_UPDATES", "settle_batch_max_updates", "SETTLE_URL", "SETTLER", "HOME"],
)
def test_what_is_read_or_none_of_ours_is_not_told(name: str) -> None:
    """In whichever case it is written."""
    assert not misspelt([name])


def test_every_command_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """On stderr, and goes on."""
    monkeypatch.setenv("SETTLE_METRIC_PORT", "9100")
    ended = CliRunner().invoke(main, ["config", "--json"])
    assert ended.exit_code == 0
    assert ended.stderr == (
        "Warning: SETTLE_METRIC_PORT is no setting: is SETTLE_METRICS_PORT meant?\n"
    )


def test_the_doctor_warns_of_it() -> None:
    """The fix names the right one."""
    finding = spelling(Setup(load_settings(), Workers(), ("SETTLE_METRIC_PORT", "HOME")))
    assert finding.verdict is Verdict.WARNING
    assert "SETTLE_METRIC_PORT" in finding.found
    assert "SETTLE_METRICS_PORT" in finding.fix
    assert spelling(Setup(load_settings(), Workers(), ("HOME",))).verdict is Verdict.OK
