"""What a provider claims to have counted is believed only where it can be a count."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_router.core.call import Outcome, settle
from session_router.core.checking import LARGEST_COUNT, LARGEST_DOLLARS, is_count
from session_router.core.experience import Experience
from session_router.core.policy import Policy
from session_router.core.pricing import Prices, Usage
from session_router.core.session_row import session_from_plain, session_to_plain
from session_router.errors import ConfigurationError
from support.talk import Talk
from values import router

COUNTS: st.SearchStrategy[Any] = (
    st.integers(-5, 5)
    | st.integers(2**52, 2**54)
    | st.integers(min_value=10**300, max_value=10**400)
    | st.floats()
    | st.none()
    | st.booleans()
    | st.just("12")
)


@given(st.lists(st.tuples(COUNTS, COUNTS, COUNTS, COUNTS), min_size=1, max_size=4))
def test_whatever_a_provider_says_the_session_can_be_read_again(said: list[tuple[Any, ...]]) -> None:
    talk = Talk(router())
    for read, cached, written, output in said:
        decision = talk.asked(10)
        assert decision.session is not None
        usage = Usage(input=read, cached=cached, written=written, output=output)
        outcome = Outcome(at=talk.now, model=decision.model, usage=usage, counts_cached=True)
        session = settle(decision.session, decision, outcome)
        assert session_from_plain(session_to_plain(session)) == session
        unsaid = settle(decision.session, decision, Outcome(at=talk.now, model=decision.model))
        assert (session == unsaid) or all(map(is_count, (read, cached, written, output)))
        talk.answered(decision)


def test_a_provider_that_counts_cached_tokens_beside_the_input_does_not_make_its_model_look_cheap() -> None:
    """Taken at its word, a request of 5,050 tokens would be one of 40."""
    talk = Talk(router())
    talk.turn(5_000)
    believed = talk.turn(10)
    decision = talk.asked(10)
    usage = Usage(input=40, cached=5_000, output=10)
    talk.router.observe(decision, Outcome(at=talk.now, model=decision.model, usage=usage, counts_cached=True))
    after = talk.asked(10)
    costs = [next(one.cost for one in made.evidence.candidates if one.model == made.model) for made in (believed, after)]
    assert all(cost is not None and cost > 0.004 for cost in costs)
    assert talk.stored.visits[after.chosen()].scale == 1


@pytest.mark.parametrize(
    ("value", "counts"), [(0, True), (LARGEST_COUNT, True), (LARGEST_COUNT + 1, False), (-1, False), (True, False), (1.0, False)]
)
def test_what_is_a_count(value: object, *, counts: bool) -> None:
    assert is_count(value) is counts


@pytest.mark.parametrize(
    "make",
    [lambda dollars: Policy(stake=dollars), lambda dollars: Policy(handoff=dollars), lambda dollars: Prices(input=dollars, output=1.0)],
)
def test_dollars_that_no_row_could_hold_are_refused_where_they_enter(make: Any) -> None:
    assert make(LARGEST_DOLLARS)
    with pytest.raises(ConfigurationError, match="1e\\+09"):
        make(LARGEST_DOLLARS * 1.01)


@pytest.mark.parametrize("place", [0, 1, 2, 3, 4])
def test_an_experience_with_numbers_beyond_reason_is_refused(place: int) -> None:
    row: list[Any] = [1, 100, 2, 5.0, 20.0, [0.5], [0.0]]
    plain = {"schema": 1, "basis": {}, "models": ["fast"], "marks": [row]}
    assert Experience.from_plain(plain)
    row[place] = 10**400
    with pytest.raises(ValueError, match=r"found|shape"):
        Experience.from_plain(plain)
