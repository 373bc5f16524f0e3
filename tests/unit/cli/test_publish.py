"""What `settle publish` reads, refuses, and says of how far it is."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from cli.commands.publish import _await
from cli.lines.progress import LINE_SECONDS, Meter
from cli.lines.reading import ENCODING, ERRORS, Place, read_updates
from cli.lines.refusals import MAX_KINDS, Refusals
from cli.main import main
from cli.publishing import Sent
from settle_client import Outcome, StatusUpdate
from tasks.messages import InvalidUpdate

if TYPE_CHECKING:
    from collections.abc import Iterator

UPDATE = '{"id": "a", "status": "failed"}'


def read(content: bytes, start_at: int = 1) -> list[tuple[str, object]]:
    """Read a file of these bytes."""
    source = io.TextIOWrapper(io.BytesIO(content), ENCODING, ERRORS)
    return [(str(place), value) for place, value in read_updates(source, start_at)]


@pytest.mark.parametrize("text", [UPDATE, f"[{UPDATE}]"], ids=["lines", "an array"])
def test_a_byte_order_mark_is_no_part_of_the_text(text: str) -> None:
    """Windows writes one before UTF-8."""
    ((_, value),) = read(b"\xef\xbb\xbf" + text.encode())
    assert value == {"id": "a", "status": "failed"}


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_a_file_in_utf_16_is_named_as_such(encoding: str) -> None:
    """It would be thousands of lines that are no JSON otherwise."""
    with pytest.raises(click.UsageError, match="UTF-16: write it in UTF-8"):
        read(f"\ufeff{UPDATE}\n{UPDATE}".encode(encoding))


@pytest.mark.parametrize(
    ("text", "noun"),
    [("1\n\n3\n4", "line"), ("[1, 2, 3, 4]", "element")],
    ids=["lines", "an array"],
)
def test_a_file_can_be_begun_in_the_middle(text: str, noun: str) -> None:
    """Places are those in the whole file."""
    assert read(text.encode(), 3) == [(f"{noun} 3", 3), (f"{noun} 4", 4)]
    assert read(text.encode(), 5) == []


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b'{"id": "\xe9"}\n', "is not UTF-8"),
        (b"{\n", "is not JSON: Expecting property name enclosed in double quotes at column 2"),
        (b"[\n1,\n", "is not JSON: Expecting value at line 3, column 1"),
    ],
    ids=["Latin-1", "a line", "an array of several lines"],
)
def test_what_is_wrong_with_a_text_is_said_by_where_it_is(content: bytes, error: str) -> None:
    """Of a line the column: that it is its own first line helps nobody."""
    ((_, value),) = read(content)
    assert isinstance(value, InvalidUpdate)
    assert value.error == error


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["a"], "give EVENT_ID and STATUS, or --file"),
        (["--file", "-", "a"], "give EVENT_ID and STATUS, or --file"),
        (["--file", "-", "a", "failed"], "give EVENT_ID and STATUS, or --file"),
        (["--file", "-", "--account-id", "acct_9"], "leave --account-id out"),
    ],
    ids=["no status", "a file and an id", "both", "a file and an account"],
)
def test_what_would_be_left_unheeded_is_refused(arguments: list[str], why: str) -> None:
    """Nothing is sent that is not what somebody means: an account is a condition."""
    ended = CliRunner().invoke(main, ["publish", *arguments], input=UPDATE)
    assert ended.exit_code == 2
    assert why in ended.stderr


def test_equal_errors_are_one_line_with_a_count() -> None:
    """Whatever the value that was given, and the column it is in."""
    refusals = Refusals()
    for number in range(1, 1001):
        error = f"status: must be 'completed', got 'done {number}'"
        refusals.add(Place("line", 3 * number), error)
        error = f"is not JSON: Extra data: line 1 column {number} (char {number})"
        refusals.add(Place("line", 3 * number + 1), error)
    refusals.add(Place("line", 9000), "id: is required")
    assert list(refusals.lines()) == [
        "line 3 and 999 more, up to line 3,000: status: must be 'completed', got 'done 1'",
        "line 4 and 999 more, up to line 3,001: is not JSON: Extra data: line 1 column 1 (char 1)",
        "line 9,000: id: is required",
    ]
    assert refusals.count == 2001


def test_two_wrong_fields_are_not_told_as_one() -> None:
    """Only what was given is left out of the comparison."""
    refusals = Refusals()
    refusals.add(Place("line", 1), "id: must be a valid string, got 1; status: is required")
    refusals.add(Place("line", 2), "id: must be a valid string, got 1; status: is odd, got 2")
    refusals.add(Place("line", 3), "id: must be a valid string, got [2]; status: is odd, got ''")
    assert len(list(refusals.lines())) == 2


def test_there_are_only_so_many_lines() -> None:
    """The others are counted."""
    refusals = Refusals()
    for number in range(MAX_KINDS + 5):
        refusals.add(Place("line", number), f"error {chr(97 + number)}")
    assert len(list(refusals.lines())) == MAX_KINDS + 1
    assert list(refusals.lines())[-1] == "and 5 that are not valid for other reasons"


def sent_in_twos(count: int) -> Sent:
    """Send lines 1 to `count`, two a message, whose ids are `m1`, `m2` and so on."""
    sent = Sent()
    for first in range(1, count, 2):
        chunk = [
            (Place("line", number), StatusUpdate(str(number), "failed"))
            for number in (first, first + 1)
        ]
        sent.add(f"m{first // 2 + 1}", chunk)
    return sent


def test_one_goes_on_behind_what_was_sent() -> None:
    """With the next line."""
    assert sent_in_twos(6).start_at == Place("line", 7)


def test_one_goes_on_with_the_first_message_that_was_not_confirmed() -> None:
    """What was sent after it is sent again; the message that was never handed in has no place."""
    sent = sent_in_twos(8)
    sent.remove(["m4", "m3", "never handed in"])
    assert sent.start_at == Place("line", 5)
    assert sent.summary() == "Sent 4 updates in 2 messages"


def test_progress_is_told_on_stderr_where_it_is_no_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Now and then, so that a log is not filled."""
    now = [0.0]
    with Meter("Sending", "updates", 9_000, clock=lambda: now[0]) as meter:
        for count in range(0, 9_000, 1_000):
            meter.update(count)
            now[0] += LINE_SECONDS / 4
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "Sending: 4,000 of 9,000 updates so far",
        "Sending: 8,000 of 9,000 updates so far",
    ]


@pytest.mark.parametrize("seconds", ["-1", "nan", "inf", "soon"])
@pytest.mark.parametrize(
    "command",
    [("publish", "a", "failed", "--timeout"), ("top", "--interval")],
    ids=" ".join,
)
def test_a_time_that_no_clock_reaches_is_refused(command: tuple[str, ...], seconds: str) -> None:
    """Before anything is sent or asked."""
    ended = CliRunner().invoke(main, [*command, seconds])
    assert ended.exit_code == 2
    assert "Invalid value for" in ended.stderr


@pytest.mark.parametrize(
    ("updated", "expected", "status"),
    [([True, True], 2, 0), ([True, False], 2, 3), ([False], 1, 3), ([True], 2, 4), ([], 1, 4)],
    ids=["all updated", "some not", "none", "one without an outcome", "none with an outcome"],
)
def test_the_exit_status_tells_updated_from_anything_else(
    updated: list[bool], expected: int, status: int
) -> None:
    """Nothing else is 0."""

    def outcomes() -> Iterator[Outcome]:
        for index, one in enumerate(updated):
            yield Outcome(
                id="a",
                updated=one,
                status="failed",
                reason=None if one else "already_failed",
                message_id="m",
                index=index,
                account_id=None,
                event_type=None,
                created_at=None,
                completed_at=None,
                failed_at=None,
            )
        if len(updated) < expected:
            raise TimeoutError("no outcome")

    assert _await(outcomes(), expected, as_json=True) == status
