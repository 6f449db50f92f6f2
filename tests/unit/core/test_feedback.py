"""What feedback is, and what it is about: values that survive a journey, and refuse what makes no sense."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_router import Feedback
from session_router.core.belief import LARGEST_SHIFT, PRIOR_VARIANCE, Belief
from session_router.core.boundary_choice import BoundaryChoice
from session_router.core.feedback import FeedbackKind
from session_router.core.model import ModelName
from session_router.core.session import SessionId
from session_router.errors import ConfigurationError
from values import FAST, SESSION, STRONG

CHOICE = BoundaryChoice(segment="0f" * 16, model=FAST, p_success=0.75, session=SESSION)
CHOICES = st.builds(
    BoundaryChoice,
    segment=st.text(max_size=40),
    model=st.text(max_size=20).map(ModelName),
    p_success=st.floats(0, 1),
    session=st.none() | st.binary(min_size=32, max_size=32).map(bytes.hex).map(SessionId),
)


def test_a_fact_counts_for_more_than_any_hint() -> None:
    fact = Feedback.task(success=False)
    hints = [Feedback.thumbs(up=False), Feedback.retried(), Feedback.graded(0.0)]
    assert fact.weight == 1
    assert all(0 < hint.weight < fact.weight for hint in hints)
    assert {one.success for one in (fact, *hints)} == {0.0}
    assert sorted(one.kind for one in (fact, *hints)) == sorted(FeedbackKind)


def test_what_went_well_is_a_success() -> None:
    assert Feedback.thumbs(up=True).success == Feedback.task(success=True).success == 1.0
    assert (Feedback.graded(0.25).success, Feedback.task(success=0.25).success) == (0.25, 0.25)


def test_whoever_knows_better_gives_another_weight() -> None:
    assert [one.weight for one in (Feedback.thumbs(up=True, weight=0.9), Feedback.retried(weight=0.1), Feedback.graded(1, weight=1))] == [
        0.9,
        0.1,
        1,
    ]


@pytest.mark.parametrize(
    "fields",
    [
        {"success": -0.1},
        {"success": 1.1},
        {"success": math.nan},
        {"success": True},
        {"success": "good"},
        {"success": 1.0, "weight": 0},
        {"success": 1.0, "weight": 1.5},
        {"success": 1.0, "weight": math.nan},
        {"success": 1.0, "kind": "thumbs"},
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="feedback"):
        Feedback(**fields)


@pytest.mark.parametrize("said", ["down", "0", b"1", None, [], {}, 10**400, 2, -1, float("nan")])
def test_what_is_no_truth_is_refused(said: Any) -> None:
    """As a form or a JSON body may have it: the text "0" would otherwise count, and "down" be an error of Python's."""
    with pytest.raises(ConfigurationError, match=r"give True or False, or a number in|give a number in"):
        Feedback.task(success=said)
    with pytest.raises(ConfigurationError, match="give True or False"):
        Feedback.thumbs(up=said)


def test_a_thumb_is_up_or_down() -> None:
    with pytest.raises(ConfigurationError, match=r"`feedback.up` is 0.5; give True or False"):
        Feedback.thumbs(up=0.5)  # type: ignore[arg-type] # a number is no thumb
    assert Feedback.thumbs(up=np.bool_(1)).success == Feedback.task(success=np.bool_(1)).success == 1.0  # type: ignore[arg-type] # numpy says truth in its own way


def test_a_mark_tells_apart_whatever_counts_on_its_own() -> None:
    said = Feedback.thumbs(up=False)
    others = [
        Feedback.thumbs(up=True).mark(CHOICE),
        Feedback.thumbs(up=False, weight=0.4).mark(CHOICE),
        replace(said, kind=FeedbackKind.GRADE).mark(CHOICE),
        said.mark(replace(CHOICE, segment="1f" * 16)),
        said.mark(replace(CHOICE, model=STRONG)),
    ]
    assert len({said.mark(CHOICE), *others}) == 1 + len(others)
    # What differs by the way it came is the same.
    assert Feedback(success=0, weight=0.5, kind=FeedbackKind.THUMBS).mark(replace(CHOICE, session=None)) == said.mark(CHOICE)


@given(CHOICES)
def test_a_choice_survives_a_journey(choice: BoundaryChoice) -> None:
    assert BoundaryChoice.from_plain(json.loads(json.dumps(choice.to_plain()))) == choice


@pytest.mark.parametrize(
    "change",
    [
        {"segment": None},
        {"segment": 5},
        {"model": None},
        {"model": ["fast"]},
        {"p_success": None},
        {"p_success": "0.5"},
        {"p_success": True},
        {"p_success": 1.01},
        {"p_success": math.nan},
        {"session": "5E" * 32},
        {"session": "5e" * 31},
        {"session": 5},
    ],
    ids=str,
)
def test_a_row_that_was_tampered_with_is_refused_by_name(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=f"boundary.{next(iter(change))}"):
        BoundaryChoice.from_plain({**CHOICE.to_plain(), **change})


@pytest.mark.parametrize("plain", [5, [], "text"])
def test_what_is_no_row_is_refused(plain: object) -> None:
    with pytest.raises(ConfigurationError, match="boundary"):
        BoundaryChoice.from_plain(plain)


class TestBeliefOfAll:
    def test_a_session_begins_with_it_and_less_sure(self) -> None:
        every = Belief(shift=-1.5, variance=0.01)
        own = every.as_prior()
        assert own.shift == every.shift
        assert every.variance < own.variance <= PRIOR_VARIANCE
        # So that what the session itself shows counts for more in it.
        assert own.learned(0.5, 1.0).shift - own.shift > every.learned(0.5, 1.0).shift - every.shift

    def test_without_feedback_it_says_nothing(self) -> None:
        assert Belief().as_prior() == Belief()

    def test_a_longer_memory_is_surer_in_the_end(self) -> None:
        short, long = Belief(), Belief()
        for number in range(400):
            short = short.learned(0.5, float(number % 2))
            long = long.learned(0.5, float(number % 2), memory=0.998)
        assert long.variance < short.variance

    @given(st.lists(st.sampled_from((0.0, 1.0)), max_size=30), st.sampled_from((0.0, 0.5, 1.0)), st.floats(0.01, 1.0))
    def test_a_shift_stays_within_what_a_row_can_hold(self, said: list[float], chance: float, memory: float) -> None:
        belief = Belief(shift=LARGEST_SHIFT)
        for success in said:
            belief = belief.learned(chance, success, memory=memory)
            assert -LARGEST_SHIFT <= belief.shift <= LARGEST_SHIFT
            assert 0 < belief.variance <= PRIOR_VARIANCE
