"""What outsiders see of limits: the names of policies, their header fields, and what is said."""

from __future__ import annotations

from typing import Final

KEY_REQUESTS: Final = "key-requests"
KEY_UPDATES: Final = "key-updates"
ACCOUNT_UPDATES: Final = "account-updates"
POLICIES: Final = (KEY_REQUESTS, KEY_UPDATES, ACCOUNT_UPDATES)
# Of all policies; a bucket holds a second's worth.
WINDOW_SECONDS: Final = 1
UPDATES: Final = "updates"

POLICY_FIELD: Final = "RateLimit-Policy"
LIMIT_FIELD: Final = "RateLimit"

LONGEST_SHOWN: Final = 100
_FIXES: Final = {
    KEY_REQUESTS: "with this API key: wait for {} s, and put more updates into a request",
    KEY_UPDATES: "with this API key: wait for {} s, then send this request again",
    ACCOUNT_UPDATES: "of account {!r}: wait for {} s, then send this request again",
}


def too_often(policy: str, per_second: int, wait_seconds: int, account: str | None = None) -> str:
    """Say which limit was reached, and what to do."""
    what = "requests" if policy == KEY_REQUESTS else UPDATES
    values = (wait_seconds,) if account is None else (account[:LONGEST_SHOWN], wait_seconds)
    return f"{policy}: more than {per_second:,} {what} a second {_FIXES[policy].format(*values)}"
