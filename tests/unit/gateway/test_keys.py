"""API keys: drawn, written, read, read again."""

from __future__ import annotations

import logging
import os
import tomllib
from hashlib import sha256
from pathlib import Path
from typing import Literal
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access.keys import Keys, as_toml, draw
from service.settings import SettingsError

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


def write(path: Path, *keys: tuple[str, list[str] | Literal["all"]]) -> list[str]:
    """Write a file of new keys and return what their holders send."""
    drawn = [draw(name, accounts) for name, accounts in keys]
    path.write_text("\n".join(as_toml(key) for _, key in drawn))
    return [token for token, _ in drawn]


def test_a_key_is_found_by_what_its_holder_sends(tmp_path: Path) -> None:
    """With its accounts, None for all of them; anything else is nobody's."""
    path = tmp_path / "keys.toml"
    shop, ops = write(path, ("shop", ["acct_1", "acct_2"]), ("ops", "all"))
    keys = Keys(path)
    found = [keys.find(token) for token in (shop, ops)]
    assert [key and key.name for key in found] == ["shop", "ops"]
    assert [key and key.account_ids for key in found] == [frozenset({"acct_1", "acct_2"}), None]
    for token in ("", shop[:-1], shop.upper(), sha256(shop.encode()).hexdigest(), "é"):
        assert keys.find(token) is None


@given(NAMES, st.lists(NAMES.filter(lambda name: name != "all"), min_size=1) | st.just("all"))
def test_what_is_written_is_read_as_it_was(name: str, accounts: list[str] | Literal["all"]) -> None:
    """Whatever names and accounts are made of."""
    token, key = draw(name, accounts)
    (read,) = tomllib.loads(as_toml(key))["key"]
    assert read == {
        "name": name,
        "sha256": sha256(token.encode()).hexdigest(),
        "accounts": accounts,
    }


def test_a_key_is_not_in_what_is_kept_of_it() -> None:
    """And no two are alike."""
    (one, key), (another, _) = draw("a", "all"), draw("a", "all")
    assert one != another
    assert one not in as_toml(key)


def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    """A revoked key is no longer found, a new one is."""
    path = tmp_path / "keys.toml"
    (old,) = write(path, ("old", "all"))
    keys = Keys(path)
    (new,) = write(path, ("newer", "all"))
    assert keys.find(old) is None
    assert keys.find(new) is not None


def test_a_file_that_is_written_in_two_steps_is_read_in_the_end(tmp_path: Path) -> None:
    """Also where the clock of the file system is too coarse to tell them apart."""
    path = tmp_path / "keys.toml"
    (token,) = write(path, ("shop", "all"))
    whole = path.read_text()
    keys = Keys(path)
    for text in ("", whole + "\n# new\n"):
        path.write_text(text)
        os.utime(path, ns=(1, 1))
        keys.find(token)
    path.write_text(whole.replace("shop", "store"))
    os.utime(path, ns=(1, 1))
    found = keys.find(token)
    assert found is not None
    assert found.name == "store"


def test_the_last_key_can_be_taken_out(tmp_path: Path) -> None:
    """A file without keys is meant so while the gateway runs: nobody is let in."""
    path = tmp_path / "keys.toml"
    (token,) = write(path, ("shop", "all"))
    keys = Keys(path)
    path.write_text("")
    assert keys.find(token) is None


@pytest.mark.parametrize("broken", ["[[key]", None], ids=["cut off", "gone"])
def test_a_file_that_broke_leaves_the_keys_as_they_were(
    tmp_path: Path, broken: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said once, not with every request; mended, it counts again."""
    path = tmp_path / "keys.toml"
    (token,) = write(path, ("shop", "all"))
    keys = Keys(path)
    path.write_text(broken) if broken is not None else path.unlink()
    for _ in range(3):
        assert keys.find(token) is not None
    assert [record.message for record in caplog.records] == ["keys not read again"]
    (new,) = write(path, ("another", "all"))
    with caplog.at_level(logging.INFO):
        assert keys.find(new) is not None
    assert keys.find(token) is None
    assert caplog.records[-1].message == "keys read again"


def test_a_file_that_can_be_read_at_last_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it has not changed since it could not, as when only its mode was mended."""
    path = tmp_path / "keys.toml"
    (old,) = write(path, ("old", "all"))
    keys = Keys(path)
    (new,) = write(path, ("newer", "all"))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_text", Mock(side_effect=PermissionError))
        assert keys.find(old) is not None
    assert keys.find(new) is not None
    assert keys.find(old) is None


DIGEST = "0" * 64


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(None, "is not there: see settle gateway new-key", id="no file"),
        pytest.param("[[key", "is not TOML", id="no TOML"),
        pytest.param("", " has no keys: see settle gateway new-key", id="empty"),
        pytest.param(f'[[key]]\nsha256 = "{DIGEST}"\naccounts = "all"', "key[0].name", id="name"),
        pytest.param(
            f'[[key]]\nname = "a"\nsha256 = "{DIGEST}"\naccounts = "some"',
            'key[0].accounts: must be a list of account ids, or "all"',
            id="accounts",
        ),
        pytest.param(
            f'[[key]]\nname = "a"\nsha256 = "{DIGEST}"\naccounts = ["all"]',
            'key[0].accounts: must name no account "all": write accounts = "all"',
            id="all as an account",
        ),
        pytest.param(
            f'[[key]]\nname = "a"\nsha256 = "{DIGEST}"\naccounts = []', "accounts", id="no account"
        ),
        pytest.param(
            '[[key]]\nname = "a"\nsha256 = "hush"\naccounts = "all"', "key[0].sha256", id="digest"
        ),
        pytest.param("[[key]]\nhush = 1\nhush = 1", "is not TOML: see ", id="twice"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(
    tmp_path: Path, text: str | None, expected: str
) -> None:
    """The setting, the file, the field; never what is there, for it may be a key."""
    path = tmp_path / "keys.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SettingsError) as refused:
        Keys(path)
    assert str(refused.value).startswith(f"SETTLE_GATEWAY_KEYS_FILE: {path}")
    assert expected in str(refused.value)
    assert "hush" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """Such as one that was compressed."""
    path = tmp_path / "keys.toml"
    path.write_bytes(b"\x1f\x8b\xff")
    with pytest.raises(SettingsError, match="is not UTF-8"):
        Keys(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("requests_per_second = 0", "key[0].requests_per_second: must be gr", id="0"),
        pytest.param('updates_per_second = "5"', None, id="as text"),
        pytest.param("updates_per_second = 1.5", "key[0].updates_per_second: must be", id="1.5"),
        pytest.param("request_per_second = 5", "key[0].request_per_second: is not kn", id="typo"),
        pytest.param('[[account]]\nid = "a"', "account[0].updates_per_second: is req", id="none"),
        pytest.param(
            '[[account]]\nid = "all"\nupdates_per_second = 5',
            "account[0].id: must be of one account: for all, set SETTLE_GATEWAY_UPDATES_PER_SECOND",
            id="of all",
        ),
        pytest.param("[[acount]]\n", "acount: is not known here", id="a table"),
        pytest.param(
            '[[account]]\nid = "a"\nupdates_per_second = 1\n' * 2, "each may have one", id="twice"
        ),
    ],
)
def test_a_limit_that_cannot_be_meant_is_refused(
    tmp_path: Path, text: str, said: str | None
) -> None:
    """By its name: what is misspelled would be no limit at all."""
    path = tmp_path / "keys.toml"
    path.write_text(f"{as_toml(draw('shop', 'all')[1])}\n{text}")
    if said is None:
        assert Keys(path)
        return
    with pytest.raises(SettingsError) as refused:
        Keys(path)
    assert said in str(refused.value)
