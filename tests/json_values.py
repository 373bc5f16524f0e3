"""Any JSON, and bodies of messages that may be valid."""

from __future__ import annotations

from hypothesis import strategies as st

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children),
    max_leaves=5,
)
FIELDS = st.fixed_dictionaries(
    {"id": st.text(min_size=1, max_size=5), "status": st.sampled_from(["completed", "failed"])},
    optional={"accountId": st.none() | st.text(max_size=3), "payload": JSON},
)
BODIES = st.one_of(
    FIELDS.map(lambda fields: [[], fields, {}]),
    st.lists(FIELDS, max_size=4).map(lambda many: [[many], {}, {}]),
    JSON,
)
