"""Any JSON, and bodies of messages that may be valid."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st


def _values(numbers: st.SearchStrategy[int], names: st.SearchStrategy[str]) -> Any:
    return st.recursive(
        st.none() | st.booleans() | numbers | st.floats(allow_nan=False) | st.text(),
        lambda children: st.lists(children, max_size=3) | st.dictionaries(names, children),
        max_leaves=5,
    )


JSON = _values(st.integers(), st.text())
# AMQP has names of 255 bytes and numbers of 64 bits.
HEADER = _values(st.integers(-(2**63), 2**63 - 1), st.text(max_size=60))
FIELDS = st.fixed_dictionaries(
    {"id": st.text(min_size=1, max_size=5), "status": st.sampled_from(["completed", "failed"])},
    optional={"accountId": st.none() | st.text(max_size=3), "payload": JSON},
)
BODIES = st.one_of(
    FIELDS.map(lambda fields: [[], fields, {}]),
    st.lists(FIELDS, max_size=4).map(lambda many: [[many], {}, {}]),
    JSON,
)
