"""Dead letters on a terminal, however narrow it is."""

from __future__ import annotations

import pytest

from cli.dead.listing import block, by_reason, has_reason
from tasks.dead_letters import KeptLetter

MESSAGE = "5f0c9a52-6a5b-4f0e-9d5c-2f6f1b0d7a11"
REASON = "status: must be 'completed' or 'failed', got 'a status that nobody has ever heard of'"


def letter(number: int, reason: str = REASON, **fields: object) -> KeptLetter:
    """Make one."""
    return KeptLetter(
        f"1764147600000-{number}",
        MESSAGE,
        reason,
        f"2026-11-26T09:00:{number:02}.000000Z",
        {"deliveriesToDeadWorkers": fields.get("deaths", 0)},
        "{}",
        number,
    )


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_a_letter_is_shown_whole(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its id, its time, its message and its reason, within the width of the terminal."""
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = list(block(letter(7, deaths=6)))
    text = " ".join(line.strip() for line in lines)
    assert all(len(line) <= columns for line in lines)
    for part in ("1764147600000-7", "2026-11-26T09:00:07.000000Z", MESSAGE, "index 7", REASON):
        assert part in text
    assert "6 workers died with it" in text


def test_an_id_that_is_wider_than_the_terminal_is_in_one_piece(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So that it can be copied."""
    monkeypatch.setenv("COLUMNS", "30")
    assert MESSAGE in "\n".join(block(letter(1)))


def test_letters_are_counted_by_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """The most frequent first, with the first time, the last, and the newest as an example."""
    monkeypatch.setenv("COLUMNS", "80")
    letters = [letter(1, "id: is required")]
    letters += [letter(number, f"status: must be right, got {number}") for number in (2, 3, 4)]
    often, once = by_reason(letters)
    assert list(often.lines()) == [
        "3 x status: must be right, got …",
        "  2026-11-26T09:00:02.000000Z to 2026-11-26T09:00:04.000000Z",
        "  the newest: 1764147600000-4, status: must be right, got 4",
    ]
    assert (once.count, once.kind) == (1, "id: is required")
    assert list(once.lines())[1:] == [
        "  2026-11-26T09:00:01.000000Z",
        "  the newest: 1764147600000-1",
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [(", got …", True), ("got 'a status", True), ("completed", True), ("id: ", False)],
)
def test_letters_are_found_by_any_part_of_their_reason(text: str, *, found: bool) -> None:
    """As it is listed, or as it is."""
    assert has_reason(letter(1), text) is found
