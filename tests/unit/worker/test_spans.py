"""Tags that follow each other as one text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from worker.transport.redis.spans import spans_of

TAGS = st.lists(
    st.builds("{}-{}".format, st.sampled_from(["a", "b-1"]), st.integers(1, 12)), unique=True
)


def test_a_batch_of_two_fetches_is_two_spans() -> None:
    """However many messages it has."""
    first = [f"id-1-{number}" for number in range(7, 1_001)]
    second = [f"id-2-{number}" for number in range(1, 7)]
    assert spans_of([*first, *second]) == {"id-1-7:1000": first, "id-2-1:6": second}


@given(tags=TAGS)
def test_spans_are_of_the_tags_and_of_no_others(tags: list[str]) -> None:
    """In whatever order these are."""
    spans = spans_of(tags)
    assert [tag for span in spans.values() for tag in span] == tags
    for span, members in spans.items():
        start, _, ends = span.rpartition("-")
        first, last = map(int, ends.split(":"))
        assert members == [f"{start}-{number}" for number in range(first, last + 1)]
