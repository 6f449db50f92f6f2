"""Settings that validate themselves, and the version that tells them apart."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import pytest

from session_router.cedar import CedarRules
from session_router.core.cache_terms import CacheRules
from session_router.core.experience import Experience, Mark
from session_router.core.governance import Clearance, Level, Tag
from session_router.core.policy import OnDenied, OnUnportable, Policy
from session_router.core.pricing import USD
from session_router.core.upgrades import UpgradeWatch
from session_router.errors import ConfigurationError
from values import FAST

MARK = Mark(number=1, tokens=1, chances={FAST: 0.5}, calls=1, growth=0.0, output=1.0, afterwards={FAST: USD(0.0)})
CHANGES: dict[str, object] = {
    "default": "strong",
    "stake": 0.5,
    "margin": 0.1,
    "cooldown": 1,
    "patience": 0,
    "cap": None,
    "handoff": 0.01,
    "output_tokens": 10,
    "on_unportable": OnUnportable.STAY,
    "experience": Experience([MARK]),
    "reference": "strong",
    "alpha": 0.2,
    "delta": 0.1,
    "explore": 0.05,
    "explore_dollars": 0.02,
    "upgrades": UpgradeWatch(expected=0.1, excessive=0.5),
    "cache": CacheRules(reader=Clearance(categories=frozenset({"pii", "phi"}))),
    "recorded_from": Level.INTERNAL,
    "on_denied": (OnDenied.FRESH,),
    "undetected": Tag(level=Level.CONFIDENTIAL),
    "detector_seconds": 1.0,
    "rules": CedarRules("permit (principal, action, resource);"),
    "unlabelled": Tag(level=Level.INTERNAL, categories=frozenset({"pii", "phi"})),
    "tools": {"read_order": Tag(level=Level.INTERNAL)},
    "sources": {"system": Tag(level=Level.INTERNAL)},
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("stake", -1.0),
        ("stake", math.nan),
        ("stake", math.inf),
        ("margin", 1.0),
        ("margin", -0.1),
        ("margin", math.nan),
        ("cooldown", -1),
        ("cooldown", 1.5),
        ("patience", -1),
        ("patience", True),
        ("cap", -0.1),
        ("cap", math.nan),
        ("cap", math.inf),
        ("handoff", -0.01),
        ("handoff", math.nan),
        ("output_tokens", -1),
        ("output_tokens", 1.5),
        ("on_unportable", "panic"),
        ("experience", "experience.json"),
        ("reference", 5),
        ("alpha", 1.0),
        ("alpha", -0.1),
        ("alpha", math.nan),
        ("delta", 0.0),
        ("delta", 1.0),
        ("explore", -0.1),
        ("explore", 0.6),
        ("explore", math.nan),
        ("explore", True),
        ("explore_dollars", -0.01),
        ("explore_dollars", math.inf),
        ("upgrades", 0.1),
        ("undetected", "public"),
        ("rules", "rules.cedar"),
        ("detector_seconds", 0.0),
        ("detector_seconds", 61.0),
        ("detector_seconds", math.nan),
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


def test_no_cap_and_a_cap_of_nothing_are_not_the_same() -> None:
    assert Policy(cap=None).version != Policy(cap=0).version


def test_what_was_learned_counts_and_not_where_it_is_kept() -> None:
    longer = Experience([MARK, MARK])
    assert Policy(experience=Experience([MARK])).version == Policy(experience=Experience([MARK])).version
    assert len({Policy(experience=one).version for one in (None, Experience([MARK]), longer)}) == 3


def test_the_order_in_a_set_does_not_change_the_version() -> None:
    one, other = (Policy(unlabelled=Tag(categories=frozenset(order))) for order in (["a", "b", "c"], ["c", "b", "a"]))
    assert one.version == other.version


def test_a_word_is_read_as_the_option() -> None:
    assert Policy(on_unportable="stay").on_unportable is OnUnportable.STAY  # type: ignore[arg-type]


def test_other_rules_are_another_policy() -> None:
    same = [Policy(rules=CedarRules("permit (principal, action, resource);")).version for _ in range(2)]
    other = Policy(rules=CedarRules('permit (principal == Model::"fast", action, resource);')).version
    assert same[0] == same[1] != other
