"""When trouble is worth a line in the log."""

from __future__ import annotations

import ast
import logging
import re
from pathlib import Path

import pytest

from service.trouble import SAY_AGAIN_AFTER_SECONDS, Trouble


def test_it_is_said_once() -> None:
    """Not at every try."""
    trouble = Trouble()
    assert [trouble.note("away", now) for now in range(5)] == [True, False, False, False, False]


def test_it_is_said_again_now_and_then() -> None:
    """For whoever looks at the end of the log only."""
    trouble = Trouble()
    said = [now for now in range(200) if trouble.note("away", now)]
    assert said == [0, SAY_AGAIN_AFTER_SECONDS, 2 * SAY_AGAIN_AFTER_SECONDS, 3 * 60]


def test_other_trouble_is_news() -> None:
    """And lasts since the first began."""
    trouble = Trouble()
    assert trouble.note("the database", 0)
    assert trouble.note("Redis", 1)
    assert trouble.over(5) == 5
    assert trouble.tries == 2


def test_it_is_over_once() -> None:
    """And may begin again."""
    trouble = Trouble()
    assert trouble.over(0) is None
    trouble.note("away", 1)
    assert trouble.over(3) == 2
    assert trouble.over(4) is None
    assert trouble.note("away", 5)


def test_its_end_has_the_level_of_its_beginning() -> None:
    """The highest, where it became worse; and the next trouble begins anew."""
    trouble = Trouble()
    trouble.note("away", 0)
    trouble.note("refused", 1, logging.ERROR)
    trouble.note("away", 2)
    trouble.over(3)
    assert trouble.level == logging.ERROR
    trouble.note("away", 4)
    trouble.over(5)
    assert trouble.level == logging.WARNING


ENDS = [
    (path, function)
    for folder in ("worker", "gateway", "service")
    for path in sorted((Path(__file__).parents[3] / folder).rglob("*.py"))
    for function in ast.walk(ast.parse(path.read_text("utf-8")))
    if isinstance(function, ast.FunctionDef)
    and re.search(r"\.over\((time\.|now)", ast.unparse(function))
]


@pytest.mark.parametrize(
    "function", [each for _, each in ENDS], ids=[f"{path.stem}.{each.name}" for path, each in ENDS]
)
def test_who_reads_that_it_began_reads_that_it_is_over(function: ast.FunctionDef) -> None:
    """Wherever trouble ends there is a line, and its level is the trouble's."""
    text = ast.unparse(function)
    assert ".level" in text
    assert "logger.info" not in text
