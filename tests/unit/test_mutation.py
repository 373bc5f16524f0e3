"""What the search for changes that no test notices works on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.mutation import renew

if TYPE_CHECKING:
    from pathlib import Path


def test_a_second_run_is_of_the_files_as_they_are_now(tmp_path: Path) -> None:
    """Scripts and pages too; modules are mutated, and are left to mutmut."""
    copies = tmp_path / "mutants"
    for name, now, before in (
        ("worker/a/due.lua", "new", "old"),
        ("worker/a/gone.lua", "", "old"),
        ("worker/b.py", "new", "mutated"),
        ("worker/b.py.meta", "", "of mutmut"),
        ("elsewhere/c.txt", "new", "old"),
    ):
        (copies / name).parent.mkdir(parents=True, exist_ok=True)
        (copies / name).write_text(before)
        if now:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(now)
    renew(tmp_path)
    found = {str(path.relative_to(copies)): path.read_text() for path in copies.rglob("*.*")}
    assert found == {
        "worker/a/due.lua": "new",
        "worker/b.py": "mutated",
        "worker/b.py.meta": "of mutmut",
        "elsewhere/c.txt": "old",
    }
