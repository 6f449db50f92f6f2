"""Settings that validate themselves, and the choice among scored candidates."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from itertools import permutations

import pytest

from session_router.core.decision import Candidate
from session_router.core.governance import Level, Tag
from session_router.core.policy import OnUnportable, Policy, cheapest
from session_router.core.pricing import USD
from session_router.errors import ConfigurationError
from values import FAST, OTHER, STRONG

CHANGES: dict[str, object] = {
    "default": "strong",
    "stake": 0.5,
    "margin": 0.1,
    "output_tokens": 10,
    "on_unportable": OnUnportable.STAY,
    "unlabelled": Tag(level=Level.INTERNAL, categories=frozenset({"pii", "phi"})),
}


def candidate(name: str, expected: float | None) -> Candidate:
    return Candidate(model=name, expected=None if expected is None else USD(expected))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("stake", -1.0),
        ("stake", math.nan),
        ("stake", math.inf),
        ("margin", 1.0),
        ("margin", -0.1),
        ("margin", math.nan),
        ("output_tokens", -1),
        ("on_unportable", "panic"),
    ],
)
def test_a_setting_out_of_range_names_itself_and_the_rule(name: str, value: object) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Policy(**{name: value})  # type: ignore[arg-type]
    assert caught.value.key == f"policy.{name}"
    assert repr(value) in str(caught.value)


def test_same_settings_same_version_and_every_setting_counts() -> None:
    assert Policy().version == Policy().version
    assert set(CHANGES) == {field.name for field in fields(Policy)} - {"version"}
    versions = {replace(Policy(), **{name: value}).version for name, value in CHANGES.items()}  # type: ignore[arg-type]
    assert len(versions | {Policy().version}) == len(CHANGES) + 1


def test_the_order_in_a_set_does_not_change_the_version() -> None:
    one, other = (Policy(unlabelled=Tag(categories=frozenset(order))) for order in (["a", "b", "c"], ["c", "b", "a"]))
    assert one.version == other.version


def test_a_word_is_read_as_the_option() -> None:
    assert Policy(on_unportable="stay").on_unportable is OnUnportable.STAY  # type: ignore[arg-type]


class TestCheapest:
    def test_the_least_expected_dollars_win_in_any_order(self) -> None:
        three = [candidate(FAST, 3.0), candidate(STRONG, 1.0), candidate(OTHER, 2.0)]
        assert {cheapest(order, current=None, margin=0.05).model for order in permutations(three)} == {STRONG}

    def test_ties_go_to_the_current_model_then_to_the_first_name(self) -> None:
        even = [candidate(name, 1.0) for name in (STRONG, FAST, OTHER)]
        assert {cheapest(order, current=STRONG, margin=0.0).model for order in permutations(even)} == {STRONG}
        assert {cheapest(order, current=None, margin=0.0).model for order in permutations(even)} == {FAST}

    @pytest.mark.parametrize(("there", "chosen"), [(0.74, STRONG), (0.75, FAST), (0.76, FAST), (2.0, FAST)])
    def test_a_switch_must_save_more_than_the_margin(self, there: float, chosen: str) -> None:
        assert cheapest([candidate(FAST, 1.0), candidate(STRONG, there)], current=FAST, margin=0.25).model == chosen

    def test_what_nobody_could_price_is_chosen_last(self) -> None:
        assert cheapest([candidate(FAST, None), candidate(STRONG, 9.0)], current=None, margin=0.0).model == STRONG
        assert cheapest([candidate(FAST, None)], current=None, margin=0.0).model == FAST

    def test_free_beats_cheap(self) -> None:
        assert cheapest([candidate(FAST, 0.0), candidate(STRONG, 0.01)], current=STRONG, margin=0.05).model == FAST
