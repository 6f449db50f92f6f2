"""Parallel branches that come together in a graph's state: the session of the later one goes on, under what both have read."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_router.core.governance import Tag, join
from session_router.core.label_row import tag_of
from session_router.core.session import Session
from session_router.core.session_row import session_to_plain
from session_router.testing import strategies
from session_router_langgraph.state import later_session
from values import SESSION

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS = st.builds(
    lambda version, tag: session_to_plain(Session(id=SESSION, version=version, tag=tag)),
    st.integers(0, 3),
    st.none() | strategies.tags(),
)


def label(row: dict[str, Any]) -> Tag:
    return join() if row["tag"] is None else tag_of(row["tag"])


def loses_a_label(merge: Callable[[Any, Any], Any], left: Any, right: Any) -> bool:
    merged = merge(left, right)
    return label(merged) != join(label(left), label(right))


@given(left=ROWS, right=ROWS)
def test_no_label_is_lost_and_nothing_else_is_changed(left: Any, right: Any) -> None:
    merged = later_session(left, right)
    assert not loses_a_label(later_session, left, right)
    assert merged == later_session(right, left)
    latest = max(left["version"], right["version"])
    assert {**merged, "tag": None} in [{**row, "tag": None} for row in (left, right) if row["version"] == latest]
    assert (merged["tag"] is None) == (left["tag"] is None and right["tag"] is None)


@given(rows=st.tuples(ROWS, ROWS, ROWS))
def test_branches_come_together_in_any_order(rows: tuple[Any, ...]) -> None:
    assert len({repr(later_session(later_session(one, two), three)) for one, two, three in permutations(rows)}) == 1


def test_the_check_bites() -> None:
    secret = session_to_plain(Session(id=SESSION, version=1, tag=Tag(categories=frozenset({"health"}))))
    public = session_to_plain(Session(id=SESSION, version=2, tag=Tag()))
    assert loses_a_label(lambda left, right: max(left, right, key=lambda row: row["version"]), secret, public)
    assert not loses_a_label(later_session, secret, public)


@pytest.mark.parametrize("unreadable", ["secret", 7, {"schema": 99}, []])
def test_a_label_that_cannot_be_read_forbids(unreadable: object) -> None:
    rows: list[Any] = [session_to_plain(Session(id=SESSION, version=version, tag=Tag())) for version in (1, 2)]
    rows[0]["tag"] = unreadable
    assert tag_of(later_session(*rows)["tag"]) == tag_of(unreadable)
