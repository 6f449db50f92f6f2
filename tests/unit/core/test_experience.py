"""What followed in past sessions that stood where this one stands."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_router.core.experience import LAST_NUMBER, NEIGHBOURS, SCALE_OF_CHANCES, SCALE_OF_TOKENS, Experience, Mark
from session_router.core.pricing import USD
from values import FAST, OTHER, STRONG

CHANCES, DOLLARS = st.sampled_from([0.5, 0.5, 0.9]), st.integers(0, 8).map(lambda eighths: USD(eighths / 8))
MARKS = st.builds(
    Mark,
    number=st.sampled_from([1, 1, 2]),
    tokens=st.sampled_from([0, 1_000, 1_000]),
    chances=st.fixed_dictionaries({FAST: CHANCES, STRONG: CHANCES}),
    calls=st.integers(1, 9),
    growth=st.sampled_from([0.0, 64.0]),
    output=st.sampled_from([1.0, 128.0]),
    afterwards=st.fixed_dictionaries({FAST: DOLLARS, STRONG: DOLLARS}),
)
PAST = st.lists(MARKS, min_size=1, max_size=30)
LIKE = {FAST: 0.5, STRONG: 0.9}


def mark(after: float = 1.0, *, number: int = 1, tokens: int = 1_000, fast: float = 0.5, strong: float = 0.9, **fields: Any) -> Mark:
    return Mark(
        **{
            "number": number,
            "tokens": tokens,
            "chances": {FAST: fast, STRONG: strong},
            "calls": 2,
            "growth": 100.0,
            "output": 50.0,
            "afterwards": {FAST: USD(after), STRONG: USD(2 * after)},
            **fields,
        }
    )


def after(*marks: Mark, number: int = 1, tokens: int = 1_000, chances: dict[Any, float] | None = None) -> float:
    """Dollars of all that follows a segment on `fast`."""
    outlook = Experience(marks).outlook(number=number, tokens=tokens, chances=LIKE if chances is None else chances)
    assert outlook is not None
    return outlook.afterwards[FAST]


class TestLikeness:
    @pytest.mark.parametrize("boundaries", [1, 3, NEIGHBOURS, 2 * NEIGHBOURS])
    def test_its_weight_is_the_boundaries_that_were_the_same(self, boundaries: int) -> None:
        unlike = [mark(fast=1.0, strong=0.0)] * 3
        outlook = Experience([mark()] * boundaries + unlike).outlook(number=1, tokens=1_000, chances=LIKE)
        assert outlook is not None
        assert outlook.weight == pytest.approx(min(boundaries, NEIGHBOURS), abs=1e-5)

    def test_a_past_that_was_far_from_this_weighs_nothing_and_still_has_means(self) -> None:
        outlook = Experience([mark(0.7)]).outlook(number=1, tokens=10**300, chances={FAST: 1.0, STRONG: 0.0})
        assert outlook is not None
        assert outlook.weight == 0.0
        assert outlook.afterwards == pytest.approx({FAST: 0.7, STRONG: 1.4})

    def test_an_identical_past_gives_what_followed_it(self) -> None:
        outlook = Experience([mark(0.7)] * 3).outlook(number=1, tokens=1_000, chances=LIKE)
        assert outlook is not None
        assert outlook.afterwards == pytest.approx({FAST: 0.7, STRONG: 1.4})
        forecast = outlook.forecast
        assert (forecast.calls, forecast.pairs, forecast.growth, forecast.output) == pytest.approx((2.0, 1.0, 100.0, 50.0))

    @pytest.mark.parametrize("unlike", [{"fast": 0.1}, {"strong": 0.1}, {"tokens": 50_000}])
    def test_those_most_like_it_are_asked(self, unlike: dict[str, Any]) -> None:
        near, far = [mark(1.0)] * NEIGHBOURS, [mark(9.0, **unlike)] * NEIGHBOURS
        assert after(*near, *far) == after(*far, *near) == pytest.approx(1.0)
        # Without the near ones, the far ones are all there is.
        assert after(*far) == pytest.approx(9.0)

    def test_the_nearer_counts_for_more(self) -> None:
        one_away = math.exp(-0.5)
        expected = (1.0 + 9.0 * one_away) / (1 + one_away)
        assert after(mark(1.0), mark(9.0, fast=0.5 + SCALE_OF_CHANCES)) == pytest.approx(expected)
        assert after(mark(1.0), mark(9.0, tokens=round(1_000 * math.exp(SCALE_OF_TOKENS)))) == pytest.approx(expected, rel=1e-3)

    def test_tokens_are_compared_by_their_ratio(self) -> None:
        small, large = (after(mark(1.0, tokens=size), mark(9.0, tokens=2 * size), tokens=size) for size in (500, 50_000))
        assert small == pytest.approx(large)

    def test_a_segment_is_compared_with_those_of_its_number(self) -> None:
        past = [mark(1.0, number=1), mark(5.0, number=2)]
        assert after(*past, number=1) == pytest.approx(1.0)
        assert after(*past, number=2) == pytest.approx(5.0)
        assert Experience(past).outlook(number=3, tokens=1_000, chances=LIKE) is None

    def test_late_segments_are_compared_whatever_their_number(self) -> None:
        past = [mark(1.0), mark(5.0, number=LAST_NUMBER + 7)]
        for number in (LAST_NUMBER, LAST_NUMBER + 1, 999):
            assert after(*past, number=number) == pytest.approx(5.0)

    def test_a_model_that_the_past_does_not_know_has_no_past(self) -> None:
        assert Experience([mark()]).outlook(number=1, tokens=1_000, chances={**LIKE, OTHER: 0.5}) is None

    def test_a_model_that_is_no_candidate_is_left_out_of_the_comparison(self) -> None:
        past = Experience([mark(1.0, fast=0.1), mark(9.0, strong=0.1)])
        outlook = past.outlook(number=1, tokens=1_000, chances={STRONG: 0.9})
        assert outlook is not None
        assert set(outlook.afterwards) == {STRONG}
        assert outlook.afterwards[STRONG] == pytest.approx(2.0, rel=1e-3)


@given(past=PAST, order=st.randoms(use_true_random=False), data=st.data())
def test_the_order_of_marks_is_irrelevant(past: list[Mark], order: random.Random, data: st.DataObject) -> None:
    asked = {"number": data.draw(st.integers(1, 3)), "tokens": data.draw(st.integers(0, 60_000)), "chances": LIKE}
    shuffled = order.sample(past, len(past))
    assert Experience(shuffled).outlook(**asked) == Experience(past).outlook(**asked)


def test_of_more_than_can_be_asked_the_same_are_asked_whatever_their_order() -> None:
    alike = [mark(float(number)) for number in range(2 * NEIGHBOURS)]
    orders = [alike, alike[::-1], random.Random(5).sample(alike, len(alike))]
    assert len({after(*one) for one in orders}) == 1
    assert len({after(*one[:NEIGHBOURS]) for one in orders}) == 3


@given(past=PAST, tokens=st.integers(0, 60_000), fast=st.floats(0, 1))
def test_what_is_expected_lies_within_what_was(past: list[Mark], tokens: int, fast: float) -> None:
    """The weights add up to one."""
    outlook = Experience(past).outlook(number=1, tokens=tokens, chances={FAST: fast, STRONG: 0.5})
    firsts = [one for one in past if one.number == 1]
    assert (outlook is None) is (not firsts)
    if outlook is None:
        return
    for name in (FAST, STRONG):
        dollars = [one.afterwards[name] for one in firsts]
        assert min(dollars) - 1e-9 <= outlook.afterwards[name] <= max(dollars) + 1e-9
    assert min(one.calls for one in firsts) - 1e-9 <= outlook.forecast.calls <= max(one.calls for one in firsts) + 1e-9
    assert outlook.forecast.pairs >= outlook.forecast.calls - 1 - 1e-9


class TestPlain:
    past = Experience([mark(0.5), mark(1.5, number=2)], basis={"stake": 0.5})

    @given(PAST)
    def test_it_survives_json(self, past: list[Mark]) -> None:
        experience = Experience(past, basis={"stake": 0.25})
        again = Experience.from_plain(json.loads(json.dumps(experience.to_plain())))
        assert (again, again.marks, again.basis) == (experience, experience.marks, experience.basis)
        assert again.fingerprint == experience.fingerprint

    def test_another_past_or_another_basis_is_another_experience(self) -> None:
        others = [
            Experience(self.past.marks),
            Experience(self.past.marks[:1], basis=self.past.basis),
            Experience([replace(self.past.marks[0], tokens=1_001), self.past.marks[1]], basis=self.past.basis),
        ]
        assert len({self.past, *others}) == 4
        assert self.past == Experience(self.past.marks, basis=self.past.basis)

    @pytest.mark.parametrize(
        "change",
        [
            {"schema": 0},
            {"schema": None},
            {"marks": []},
            {"marks": None},
            {"marks": [[]]},
            {"marks": [[1, 1, 1, 1.0, 1.0, [1.0], [1.0, 1.0]]]},
            {"marks": [[1, 1, 1, 1.0, 1.0, [1.0, 1.0], [1.0, 1.0, 1.0]]]},
            {"marks": [[1, 1, 1, math.nan, 1.0, [1.0, 1.0], [1.0, 1.0]]]},
            {"marks": [[1, 1, 1, 1.0, -1.0, [1.0, 1.0], [1.0, 1.0]]]},
            {"marks": [[1, 1, 1, 1.0, 1.0, [1.0, math.inf], [1.0, 1.0]]]},
            {"marks": [[1, 1, 1, 1.0, 1.0, [1.0, 1.0], [1.0, "1"]]]},
            {"marks": [[1, 1, 1, 1.0, 1.0, [1.0, 1.0], [1.0, 10**400]]]},
            {"marks": [[1.5, 1, 1, 1.0, 1.0, [1.0, 1.0], [1.0, 1.0]]]},
            {"marks": [[1, True, 1, 1.0, 1.0, [1.0, 1.0], [1.0, 1.0]]]},
            {"models": []},
            {"models": ["fast", 5]},
            {"models": ["fast", ""]},
            {"basis": None},
            {"basis": {"stake": "much"}},
        ],
        ids=str,
    )
    def test_what_is_no_experience_is_refused(self, change: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=r"^(it|its|found|not enough|zip) ?"):
            Experience.from_plain({**self.past.to_plain(), **change})

    @pytest.mark.parametrize("plain", [None, [], "text", 5, {}])
    def test_what_is_no_table_is_refused(self, plain: object) -> None:
        with pytest.raises(ValueError, match="it is no experience of schema"):
            Experience.from_plain(plain)
