"""The file of endpoints: what it says, and what is said of one that cannot be meant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from cli.main import main
from service.settings import SettingsError
from tests.webhooks import OTHER_SECRET, SECRET, endpoint
from webhooks.endpoints import Endpoints

if TYPE_CHECKING:
    from pathlib import Path

URL = "https://billing.example/outcomes"


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"url": "ftp://a"}, "endpoint[0].url: must be https://HOST/PATH"),
        ({"url": "https://"}, "endpoint[0].url: must be https://HOST/PATH"),
        ({"url": "https://a..b/"}, "endpoint[0].url: must be https://HOST/PATH"),
        ({"url": "\x01https://a/"}, "endpoint[0].url: must be https://HOST/PATH"),
        ({"url": "https://a\x00b/"}, "endpoint[0].url: must be https://HOST/PATH"),
        ({"url": "https://a/\x07"}, "endpoint[0].url: must be https://HOST/PATH"),
        ({"url": "https://a/\nb"}, "endpoint[0].url: must be https://HOST/PATH"),
        ({"url": "https://a:70000/"}, "endpoint[0].url: must be https://HOST/PATH"),
        ({"url": "https://me:hidden@a/"}, "endpoint[0].url: must have no user in it"),
        ({"url": "https://a/#b"}, "endpoint[0].url: must have no space in it"),
        ({"url": 5}, "endpoint[0].url: must be a valid string"),
        ({"accounts": "acct_1"}, "endpoint[0].accounts: must be a list of account ids, or"),
        ({"accounts": []}, "endpoint[0].accounts: must be a list of account ids, or"),
        ({"accounts": ["all"]}, 'endpoint[0].accounts: must name no account "all": write'),
        ({"accounts": ["a", "all"]}, 'endpoint[0].accounts: must name no account "all": write'),
        ({"name": "a b"}, "endpoint[0].name: must match pattern"),
        ({"secrets": []}, "endpoint[0].secrets: "),
        ({"secrets": [SECRET] * 3}, "endpoint[0].secrets: "),
        ({"secrets": ["hidden"]}, "endpoint[0].secrets[0]: must be whsec_ and 24 to 64 bytes"),
        ({"secrets": ["whsec_c2hvcnQ="]}, "endpoint[0].secrets[0]: must be whsec_ and 24 to 64"),
        ({"format": "xml"}, "endpoint[0].format: must be 'outcomes' or 'cloudevents'"),
        ({"max_outcomes": 0}, "endpoint[0].max_outcomes: must be greater than"),
        ({"hidden": 1}, "endpoint[0].hidden: is not known here"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_cannot_be_meant_is_named_with_its_fix(
    tmp_path: Path, fields: dict[str, Any], error: str
) -> None:
    """In one line that says where, and quotes no secret."""
    values = {"name": "billing", "url": URL, **fields}
    text = endpoint(values.pop("name"), values.pop("url"), **values)
    with pytest.raises(SettingsError) as raised:
        Endpoints(written(tmp_path, text))
    said = str(raised.value)
    assert said.startswith(f"SETTLE_WEBHOOKS_FILE: {tmp_path}/webhooks.toml: {error}")
    assert "\n" not in said
    assert "hidden" not in said.replace("endpoint[0].hidden", "")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        pytest.param("", "has no endpoints: see settle webhooks new-endpoint", id="empty"),
        pytest.param("[[endpoint]", "is not TOML: see line 1", id="no TOML"),
        pytest.param("[[endpoint]]", "endpoint[0].name: is required", id="nothing in it"),
        pytest.param("[[endpoints]]", "endpoints: is not known here", id="another name"),
        pytest.param(
            endpoint("one", URL) * 2, "two endpoints are called one: give each", id="one name twice"
        ),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, text: str, error: str) -> None:
    """The same of the file as a whole."""
    with pytest.raises(
        SettingsError, match=f"SETTLE_WEBHOOKS_FILE: .*{error}".replace("[0]", ".0.")
    ):
        Endpoints(written(tmp_path, text))


def test_outcomes_go_to_the_endpoints_of_their_account(tmp_path: Path) -> None:
    """Those of no account to who gets all; and the same when the file has changed."""
    file = written(
        tmp_path,
        endpoint("one", URL, accounts=["acct_1", "acct_1"])
        + endpoint("all", URL)
        + endpoint("two", URL, accounts=["acct_1", "acct_2"]),
    )
    endpoints = Endpoints(file)
    assert names(endpoints, "acct_1") == ["all", "one", "two"]
    assert names(endpoints, "acct_2") == ["all", "two"]
    assert names(endpoints, "acct_3") == names(endpoints, None) == ["all"]
    file.write_text(endpoint("one", URL, accounts=["acct_3"]))
    assert names(endpoints, "acct_3") == ["one"]
    assert names(endpoints, "acct_1") == names(endpoints, None) == []
    file.write_text("[[")
    assert names(endpoints, "acct_3") == ["one"]


@pytest.mark.parametrize("text", ["", "# soon"], ids=["empty", "a remark"])
def test_a_file_without_endpoints_is_not_taken_while_it_is_read_again(
    tmp_path: Path, text: str
) -> None:
    """It is one that is being written: what is published meanwhile is for those of before."""
    file = written(tmp_path, endpoint("one", URL))
    endpoints = Endpoints(file)
    file.write_text(text)
    assert names(endpoints, "acct_1") == ["one"]
    file.write_text(endpoint("two", URL))
    assert names(endpoints, "acct_1") == ["two"]


def test_an_endpoint_is_drawn_as_the_file_has_it(tmp_path: Path) -> None:
    """With a secret of its own each time; and what cannot be meant is refused before."""
    arguments = ("webhooks", "new-endpoint", "billing", URL, "--account", "acct_1")
    drawn = [CliRunner().invoke(main, arguments).stdout for _ in range(2)]
    assert drawn[0] != drawn[1]
    (found,) = Endpoints(written(tmp_path, drawn[0])).all()
    assert (found.name, found.url, found.accounts) == ("billing", URL, ["acct_1"])
    for wrong in (
        ("billing", "ftp://a", "--all-accounts"),
        ("b b", URL, "--all-accounts"),
        ("billing", URL),
        ("billing", URL, "--all-accounts", "--account", "a"),
    ):
        assert CliRunner().invoke(main, ("webhooks", "new-endpoint", *wrong)).exit_code == 2


def test_secrets_are_shown_nowhere(tmp_path: Path) -> None:
    """Whoever prints an endpoint prints none."""
    file = written(tmp_path, endpoint("one", URL, secrets=[SECRET, OTHER_SECRET]))
    assert "whsec_" not in repr(Endpoints(file).all())


def written(folder: Path, text: str) -> Path:
    """Write a file of endpoints."""
    file = folder / "webhooks.toml"
    file.write_text(text, "utf-8")
    return file


def names(endpoints: Endpoints, account: str | None) -> list[str]:
    """Return who gets the outcomes of an account."""
    return sorted(each.name for each in endpoints.of_account(account))
