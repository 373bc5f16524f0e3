"""What is wrong, in words that are the same with every Python."""

from __future__ import annotations

import pytest

from settle_client.outcome import Problem


@pytest.mark.parametrize(
    ("status", "words"),
    [(413, "Content Too Large"), (404, "Not Found"), (429, "Too Many Requests")],
)
def test_a_problem_names_its_status_as_the_standard_does(status: int, words: str) -> None:
    """RFC 9110, which Python had not read yet when 3.11 was made."""
    assert Problem.of(status, "why") == Problem(error=words, message="why", status_code=status)
