"""Whether JSON text may be large in memory: counted by what separates its values."""

from __future__ import annotations

import pytest

from tasks.density import MAX_VALUES, is_too_dense


@pytest.mark.parametrize("unit", ["1,", "[", '{"a":'], ids=["values", "arrays", "objects"])
@pytest.mark.parametrize("as_bytes", [False, True], ids=["text", "bytes"])
def test_every_kind_of_value_counts(unit: str, as_bytes: bool) -> None:
    """As many as may be are few enough, one more is too many; nested ones have no comma."""
    for count, expected in ((MAX_VALUES, False), (MAX_VALUES + 1, True)):
        text = unit * count
        assert is_too_dense(text.encode() if as_bytes else text) is expected
