"""Which rates a request is held to, and how its answer shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import http_sf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access import terms
from gateway.access.buckets import Claim
from gateway.access.fields import SHOWN, Limit, limit_item, policy_item, show
from gateway.access.keys import Keys, as_toml, draw
from gateway.access.policies import Caller, Due, Policies

if TYPE_CHECKING:
    from pathlib import Path

SHOP = Caller("shop", frozenset({"a", "b"}), None, None)
OPS = Caller("ops", None, None, None)
SINGLE = Caller("one", frozenset({"a"}), None, None)


def amounts(due: list[Due]) -> dict[str, int]:
    """Return what is taken from each bucket."""
    return {one.claim.bucket.removeprefix("account-updates:10:"): one.claim.amount for one in due}


@pytest.mark.parametrize("caller", [SHOP, OPS, SINGLE], ids=lambda caller: caller.name)
def test_without_limits_nothing_is_taken(caller: Caller) -> None:
    """So nobody is asked."""
    policies = Policies(None, None)
    assert policies.of_request(caller) == []
    assert policies.of_updates(caller, ["a", None]) == []


@pytest.mark.parametrize(
    ("caller", "named", "taken"),
    [
        pytest.param(SINGLE, [None, None], {"a": 2}, id="its only account"),
        pytest.param(SINGLE, ["a", None], {"a": 2}, id="named or not"),
        pytest.param(SINGLE, ["b"], {"a": 1}, id="another's is not charged"),
        pytest.param(SHOP, ["a", "a", "b"], {"a": 2, "b": 1}, id="several, named"),
        pytest.param(SHOP, ["a"], {"a": 1}, id="one of several"),
        pytest.param(SHOP, [None, "a"], {"a": 2, "b": 1}, id="several, unnamed"),
        pytest.param(SHOP, ["c"], {"a": 1, "b": 1}, id="of none of several"),
        pytest.param(OPS, ["a", "c", "a"], {"a": 2, "c": 1}, id="all, named"),
        pytest.param(OPS, [None], {}, id="all, unnamed"),
    ],
)
def test_updates_count_for_their_accounts(
    caller: Caller, named: list[str | None], taken: dict[str, int]
) -> None:
    """By the names that they have, as far as the key is for these."""
    assert amounts(Policies(None, 10).of_updates(caller, named)) == taken


def test_a_key_has_rates_of_its_own() -> None:
    """Of requests, and of all updates together, whatever they name."""
    caller = Caller("shop", frozenset({"a"}), 7, 9)
    policies = Policies(None, None)
    assert [one.claim for one in policies.of_request(caller)] == [
        Claim("key-requests:7:shop", 7, 1)
    ]
    assert [one.claim for one in policies.of_updates(caller, [None, "a", "x"])] == [
        Claim("key-updates:9:shop", 9, 3)
    ]


def test_the_file_of_keys_says_otherwise_of_an_account(tmp_path: Path) -> None:
    """Of that one; the others have the rate of all, if there is one."""
    path = tmp_path / "keys.toml"
    path.write_text(
        f'{as_toml(draw("shop", "all")[1])}\n[[account]]\nid = "a"\nupdates_per_second = 3\n'
    )
    keys = Keys(path)
    for rate, others in ((10, [10]), (None, [])):
        due = Policies(keys, rate).of_updates(SHOP, ["a", "b"])
        assert [one.claim.per_second for one in due] == [3, *others]


NAMES = st.text(min_size=1, max_size=255).filter(lambda text: text.isprintable())


@given(
    st.sampled_from(terms.POLICIES),
    st.none() | NAMES,
    st.integers(1, 10**9),
    st.floats(0, 100_000),
)
def test_what_is_shown_are_structured_fields(
    policy: str, account: str | None, rate: int, missing: float
) -> None:
    """As a library reads them, whatever an account is called."""
    limit = Limit.of(Due(policy, account, Claim("bucket", rate, 1)), missing)
    ((name, shown),) = read(policy_item(limit))
    assert (name, shown["q"], shown["w"]) == (policy, rate, 1)
    assert shown.get("qu", "requests") == (
        "requests" if policy == terms.KEY_REQUESTS else "updates"
    )
    ((name, left),) = read(limit_item(limit))
    assert name == policy
    assert 0 <= left["r"] <= rate
    assert left["t"] >= 1
    for parameters in (shown, left):
        assert parameters.get("pk", b"").decode() == (account or "")


def read(field: str) -> Any:
    """Read a field as a list."""
    return http_sf.parse(field.encode("ascii"), tltype="list")


def test_of_many_accounts_the_scarcest_is_shown() -> None:
    """One of each policy, however many requests were asked for."""
    scope: dict[str, Any] = {}
    due = [Due(terms.ACCOUNT_UPDATES, name, Claim(name, 10, 1)) for name in "abc"]
    show(scope, [Limit(due[0], 5, 1), Limit(due[1], 0, 3), Limit(due[2], 0, 2)])
    show(scope, [Limit(Due(terms.KEY_REQUESTS, None, Claim("k", 10, 1)), 9, 1)])
    assert [(name, one.due.account) for name, one in scope[SHOWN].items()] == [
        (terms.ACCOUNT_UPDATES, "b"),
        (terms.KEY_REQUESTS, None),
    ]


@pytest.mark.parametrize("policy", terms.POLICIES)
def test_what_is_said_names_the_limit_and_the_fix(policy: str) -> None:
    """And no more of an account's name than fits."""
    account = "x" * 255 if policy == terms.ACCOUNT_UPDATES else None
    said = terms.too_often(policy, 5_000, 3, account)
    assert said.startswith(f"{policy}: more than 5,000 ")
    assert "wait for 3 s" in said
    assert len(said) < 300
