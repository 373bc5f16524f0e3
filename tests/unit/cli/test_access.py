"""What `settle init` writes, and what the documentation says of it."""

from __future__ import annotations

import pathlib
import re
import stat
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from cli.access import PASSWORD, PROCESSES, TEXTS, draw, text_of
from cli.main import main
from tests.deployment import ROOT

if TYPE_CHECKING:
    from pathlib import Path

PAGES = "\n".join(page.read_text("utf-8") for page in sorted((ROOT / "docs").rglob("*.md")))
# Of a part of Kubernetes that not everybody has.
ELSEWHERE = "ACL SETUSER settle-scaler "


def test_the_roles_are_those_of_the_documentation() -> None:
    """Word for word: what is explained is what is entered."""
    blocks = re.findall(r"```sql\n(.*?)```", PAGES, re.DOTALL)
    documented = [block for block in blocks if "CREATE ROLE settle_" in block]
    assert "\n".join(documented) == "\n".join(map(text_of, ("database.sql", "roles.sql")))


def test_the_users_are_those_of_the_documentation() -> None:
    """Line by line."""
    documented = re.findall(r"^ACL SETUSER settle-.*$", PAGES, re.MULTILINE)
    entered = re.findall(r"^ACL .*$", text_of("users.acl"), re.MULTILINE)
    assert entered == [line for line in documented if not line.startswith(ELSEWHERE)]


def test_each_has_one_password_and_it_is_its_own() -> None:
    """In the files of servers and of processes alike; drawn anew each time."""
    drawn = draw("db:5432", "redis:6379")
    assert not any(PASSWORD in text for text in drawn.values())
    entered = "".join(drawn[name] for name in TEXTS)
    passwords = dict(re.findall(r"CREATE ROLE (\w+) LOGIN PASSWORD '(\w+)'", entered))
    passwords |= dict(re.findall(r"ACL SETUSER (\S+) reset .*>(\w+)", entered))
    assert len(set(passwords.values())) == len(passwords) == 11
    for process, connects in PROCESSES.items():
        logins = re.findall(
            r"//(\S+?):(\w+)@(?:db:5432/settle|redis:6379/0)$",
            drawn[f"{process}.env"],
            re.MULTILINE,
        )
        assert logins == [(who, passwords[who]) for who in connects.values()]
    assert draw("db:5432", "redis:6379") != drawn


def test_the_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    """And nothing that is there is written over: its passwords are in use."""
    folder = tmp_path / "access"
    first = CliRunner().invoke(main, ["init", str(folder)])
    assert first.exit_code == 0
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    written = {path: path.read_text() for path in folder.iterdir()}
    assert {path.name for path in written} == {
        *TEXTS,
        *(f"{process}.env" for process in PROCESSES),
        ".gitignore",
    }
    modes = {stat.S_IMODE(path.stat().st_mode) for path in written if path.name != ".gitignore"}
    assert modes == {0o600}
    again = CliRunner().invoke(main, ["init", str(folder)])
    assert again.exit_code == 1
    assert again.output.startswith(f"Error: {folder} is there already")
    assert {path: path.read_text() for path in folder.iterdir()} == written


def test_what_is_cut_short_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk was full: the next try is not refused for half of a folder."""
    folder, write = tmp_path / "access", pathlib.Path.write_text

    def fail(path: Path, *arguments: str) -> int:
        if path.name == "worker.env":
            raise OSError(28, "No space left on device", str(path))
        return write(path, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(pathlib.Path, "write_text", fail)
        ended = CliRunner().invoke(main, ["init", str(folder)])
    assert (ended.exit_code, ended.output) == (
        1,
        f"Error: {folder}/worker.env: No space left on device\n",
    )
    assert not folder.exists()
    assert CliRunner().invoke(main, ["init", str(folder)]).exit_code == 0


@pytest.mark.parametrize("option", ["--postgres", "--redis"])
@pytest.mark.parametrize(
    ("place", "status"),
    [
        ("redis://h:6379", 2),
        *((wrong, 2) for wrong in ("u:p@h:1", "h:port", "", "h:1/0", "h o:1", ":5432")),
        *((right, 0) for right in ("db.example.com:5432", "10.0.0.1", "[::1]:6379")),
    ],
)
def test_what_is_no_host_and_port_is_refused(
    option: str, place: str, status: int, tmp_path: Path
) -> None:
    """It would be found out by whoever uses the addresses that are made of it."""
    ended = CliRunner().invoke(main, ["init", option, place, str(tmp_path / "access")])
    assert ended.exit_code == status
    assert (tmp_path / "access").exists() == (status == 0)


def test_the_readme_says_what_the_command_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same to type, in the same order."""
    monkeypatch.chdir(tmp_path)
    said = CliRunner().invoke(main, ["init", "access"]).output
    typed = [line for line in re.findall(r"^  (.*)$", said, re.MULTILINE) if "access/" in line]
    readme = (ROOT / "README.md").read_text("utf-8")
    places = [readme.index(f"\n{line}") for line in typed]
    assert len(places) == 6
    assert places == sorted(places)
