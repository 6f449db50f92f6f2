"""The ledger's rule at its edges, and its plain form."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_router.core.ledger import Ledger
from session_router.core.model import ModelName
from session_router.core.pricing import USD
from session_router.errors import StoreCorrupt

FAST, STRONG = ModelName("fast"), ModelName("strong")
DOLLARS = st.floats(0, allow_infinity=False).map(USD)
LEDGERS = st.builds(Ledger, anchor=st.text(max_size=5).map(ModelName), spent=DOLLARS, unmoved=DOLLARS)


@pytest.mark.parametrize(
    ("model", "cost", "reserve", "share", "allowed"),
    [
        (STRONG, 1.0, 0.5, 0.0, True),
        (STRONG, 1.0, 0.5625, 0.0, False),
        (STRONG, 1.5, 0.0, 0.0, True),
        (STRONG, 1.5625, 0.0, 0.0, False),
        (STRONG, 1.5, 1.0, 0.25, True),
        (STRONG, 1.5, 1.0625, 0.25, False),
        (FAST, 100.0, 100.0, 0.0, True),
    ],
)
def test_a_move_is_allowed_while_the_way_back_can_be_paid(
    model: ModelName, cost: float, reserve: float, share: float, *, allowed: bool
) -> None:
    ledger = Ledger(anchor=FAST, spent=USD(2.5), unmoved=USD(3.0))
    assert ledger.allows(model, cost=USD(cost), unmoved=USD(1.0), reserve=USD(reserve), share=share) is allowed


def test_charging_adds_to_both_sides_and_leaves_the_old_ledger_alone() -> None:
    ledger = Ledger(anchor=FAST)
    later = ledger.charged(cost=USD(0.5), unmoved=USD(0.25)).charged(cost=USD(0.25), unmoved=USD(1.0))
    assert later == Ledger(anchor=FAST, spent=USD(0.75), unmoved=USD(1.25))
    assert ledger == Ledger(anchor=FAST, spent=USD(0.0), unmoved=USD(0.0))


@pytest.mark.parametrize(("spent", "share", "holds"), [(1.25, 0.25, True), (1.25 + 2**-20, 0.25, False), (1.0, 0.0, True)])
def test_the_law(spent: float, share: float, *, holds: bool) -> None:
    assert Ledger(anchor=FAST, spent=USD(spent), unmoved=USD(1.0)).holds(share=share) is holds


def test_after_a_forced_move_the_law_begins_anew() -> None:
    """Far below the cap before it; nothing of that is left to spend on the new anchor."""
    saved = Ledger(anchor=FAST, spent=USD(1.0), unmoved=USD(9.0))
    anew = Ledger(anchor=STRONG).charged(cost=USD(4.0), unmoved=USD(4.0))
    assert saved.allows(STRONG, cost=USD(2.0), unmoved=USD(1.0), reserve=USD(0.0), share=0.0)
    assert not anew.allows(FAST, cost=USD(2.0), unmoved=USD(1.0), reserve=USD(0.0), share=0.0)
    assert anew.allows(STRONG, cost=USD(2.0), unmoved=USD(1.0), reserve=USD(0.0), share=0.0)
    assert anew.holds(share=0.0)


def test_the_plain_form_is_known() -> None:
    assert Ledger(anchor=FAST, spent=USD(0.5), unmoved=USD(0.25)).to_plain() == ["fast", 0.5, 0.25]


@given(LEDGERS)
def test_a_ledger_survives_json(ledger: Ledger) -> None:
    assert Ledger.from_plain(json.loads(json.dumps(ledger.to_plain()))) == ledger


def test_whole_dollars_and_tuples_are_read() -> None:
    read = Ledger.from_plain(("fast", 3, 0))
    assert read == Ledger(anchor=FAST, spent=USD(3.0), unmoved=USD(0.0))
    assert isinstance(read.spent, float)


@pytest.mark.parametrize(
    "plain",
    [
        None,
        "abc",
        {"anchor": "fast"},
        [],
        ["fast", 1.0],
        ["fast", 1.0, 1.0, 1.0],
        [None, 1.0, 1.0],
        [5, 1.0, 1.0],
        ["fast", "1.0", 1.0],
        ["fast", 1.0, None],
        ["fast", True, 1.0],
        ["fast", -0.5, 1.0],
        ["fast", 1.0, -1],
        ["fast", float("nan"), 1.0],
        ["fast", 1.0, float("inf")],
        ["fast", 1.0, float("-inf")],
        ["fast", 10**400, 1.0],
        ["fast", 1.0, -(10**400)],
        ["fast", [1.0], 1.0],
    ],
    ids=lambda plain: str(plain)[:24],
)
def test_what_is_no_ledger_is_refused(plain: Any) -> None:
    with pytest.raises(StoreCorrupt, match="treated as lost") as raised:
        Ledger.from_plain(plain)
    assert len(str(raised.value)) < 200  # what was found is not shown: it may be of any size
