"""What a policy comes to is what `permits` says of every label, one by one."""

from __future__ import annotations

import json
from itertools import combinations
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from session_router.core.clearance_check import Combination, _parts, check_clearances
from session_router.core.governance import PUBLIC, TOP, Clearance, Level, Tag, join, permits
from session_router.core.policy import Policy
from session_router.testing.strategies import clearances, generous_clearances, tags

if TYPE_CHECKING:
    from collections.abc import Mapping

NOW = 1.7e9
EUROPE = Clearance(
    max_level=Level.CONFIDENTIAL, categories=frozenset({"pii"}), processing_regions=frozenset({"eu"}), trains=False, retention_seconds=0.0
)
AMERICA = Clearance(max_level=Level.RESTRICTED, processing_regions=frozenset({"us"}), trains=False)
MODELS = st.dictionaries(st.sampled_from(("fast", "strong", "own")), st.none() | clearances() | generous_clearances(), min_size=1)


def somebody(models: Mapping[str, Clearance | None], tag: Tag, purpose: str | None) -> bool:
    return any(permits(tag, one, now=NOW, purpose=purpose) for one in models.values())


@settings(max_examples=60, deadline=None)
@given(MODELS)
def test_a_combination_can_go_nowhere_exactly_if_it_holds_one_that_is_told(models: Mapping[str, Clearance | None]) -> None:
    found = check_clearances(models, Policy(), now=NOW)
    assert not found.more
    parts = _parts(models, [])
    levels = [level.name.lower() for level in Level]
    purposes: list[str | None] = [None, *sorted({one.name for one in found.verdicts if one.kind == "purpose"})]
    told = {purpose: [set(one.labels) for one in found.unroutable if one.purpose == purpose] for purpose in purposes}
    for size in range(4):
        for some in combinations(parts, size):
            kinds = [part.kind for part in some]
            if max(map(kinds.count, ("region", "tenant", "level"))) > 1:
                continue
            names = {part.name for part in some}
            names |= {lower for at, lower in enumerate(levels) if names & set(levels[at:])}
            for purpose in purposes:
                nobody = not somebody(models, join(*(part.tag for part in some)), purpose)
                assert nobody == any(one <= names for one in told[purpose]), (names, purpose)


@settings(max_examples=60, deadline=None)
@given(MODELS, st.dictionaries(st.sampled_from(("read", "search")), tags()))
def test_the_matrix_says_what_permits_says(models: Mapping[str, Clearance | None], tools: Mapping[str, Tag]) -> None:
    found = check_clearances(models, Policy(tools=tools, unlabelled=TOP), now=NOW)
    purposes = [None, *sorted({one.name for one in found.verdicts if one.kind == "purpose"})]
    for label, verdicts in found.verdicts.items():
        for name, verdict in verdicts.items():
            by_purpose = {purpose: permits(label.tag, models[name], now=NOW, purpose=purpose) for purpose in purposes}
            assert verdict.permitted == any(by_purpose.values())
            if verdict.permitted:
                served = tuple(purpose for purpose in purposes if purpose is not None and by_purpose[purpose])
                assert verdict.purposes == (None if by_purpose[None] else served)
    assert {label.name for label in found.nowhere} == {
        name for name, tag in tools.items() if not any(somebody(models, tag, purpose) for purpose in purposes)
    }
    assert set(found.unusable) == {name for name in models if not any(somebody({"x": models[name]}, PUBLIC, one) for one in purposes)}
    json.dumps(found.to_plain(), allow_nan=False)


def test_the_least_combinations_are_told() -> None:
    found = check_clearances({"europe": EUROPE, "america": AMERICA}, Policy(), now=NOW)
    assert set(found.unroutable) == {
        Combination(labels=names, purpose=None)
        for names in (
            ("restricted", "pii"),
            ("restricted", "only eu"),
            ("pii", "only us"),
            ("restricted", "zero_retention"),
            ("only us", "zero_retention"),
        )
    }


def test_where_nobody_may_see_anything_everything_is_told() -> None:
    found = check_clearances({"fast": None}, Policy(), now=NOW)
    assert (found.in_use, found.sound) == (False, True)
    found = check_clearances({"fast": None, "old": Clearance(attested_until=NOW)}, Policy(tools={"read": PUBLIC}), now=NOW)
    assert found.unroutable == (Combination(labels=(), purpose=None),)
    assert found.unusable == {"fast": "it has no clearance", "old": "its attestation has expired"}
    assert [label.name for label in found.nowhere] == ["read"]
    assert not found.sound


def test_a_model_for_one_purpose_is_usable_for_it() -> None:
    care = Clearance(purposes=frozenset({"care"}), max_level=Level.RESTRICTED)
    found = check_clearances({"care": care}, Policy(), now=NOW)
    (public,) = [label for label in found.verdicts if label.name == "public"]
    assert found.verdicts[public]["care"].purposes == ("care",)
    assert found.unusable == {}
    assert Combination(labels=(), purpose=None) in found.unroutable


def test_many_models_are_looked_at_in_time_and_the_rest_is_said_to_be_there() -> None:
    models = {f"model {at}": Clearance(categories=frozenset({f"category {at}"}), max_level=Level.RESTRICTED) for at in range(30)}
    found = check_clearances(models, Policy(), now=NOW)
    assert found.more
    assert found.unroutable
