"""Cedar may forbid what a clearance permits, and permits nothing beyond it; what errs forbids."""

from __future__ import annotations

import importlib
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import cedarpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from session_router import load_router
from session_router.cedar import CedarRules
from session_router.core.governance import Clearance, Level, Tag, failing_rule
from session_router.errors import ConfigurationError, MissingExtra
from session_router.testing.strategies import clearances, generous_clearances, mild_tags, tags

if TYPE_CHECKING:
    from pathlib import Path

ANYTHING = 'permit (principal, action == Action::"see", resource);'
EUROPE = Clearance(max_level=Level.RESTRICTED, categories=frozenset({"pii"}), processing_regions=frozenset({"eu"}), trains=False)
PII = Tag(level=Level.CONFIDENTIAL, categories=frozenset({"pii"}))


def ruled(policies: str, tag: Tag = PII, clearance: Clearance | None = EUROPE, **options: Any) -> str | None:
    return CedarRules(policies).failing_rule(tag, clearance, **{"model": "fast", "now": 1.7e9, **options})


@settings(max_examples=100, deadline=None)
@given(tags() | mild_tags(), st.none() | clearances() | generous_clearances(), st.sampled_from((None, "care")))
def test_a_policy_that_permits_everything_permits_what_the_clearance_does(
    tag: Tag, clearance: Clearance | None, purpose: str | None
) -> None:
    rules = CedarRules(ANYTHING)
    expected = failing_rule(tag, clearance, now=1.7e9, purpose=purpose)
    assert rules.failing_rule(tag, clearance, model="fast", now=1.7e9, purpose=purpose) == expected


@pytest.mark.parametrize("kept", [2.0**63, 1e300])
def test_what_is_kept_for_longer_than_cedar_can_count_is_kept_for_as_long_as_it_can(kept: float) -> None:
    clearance = replace(EUROPE, retention_seconds=kept)
    assert ruled(ANYTHING, clearance=clearance) is None
    forbidden = "forbid (principal, action, resource) when { principal.retention_seconds > 1000000 };"
    assert "forbidden by Cedar" in (ruled(ANYTHING + forbidden, clearance=clearance) or "")


@pytest.mark.parametrize(
    "condition",
    [
        'resource.categories.contains("pii")',
        "resource.level >= 2",
        'principal == Model::"fast"',
        'principal.processing_regions.contains("eu")',
        "context.now > 1600000000",
        '!(context has purpose && context.purpose == "care")',
        "!(principal has retention_seconds) || principal.retention_seconds > 0",
    ],
)
def test_a_policy_may_forbid_more(condition: str) -> None:
    assert ruled(ANYTHING) is None
    rule = ruled(f"{ANYTHING} forbid (principal, action, resource) when {{ {condition} }};")
    assert rule is not None
    assert rule.startswith("forbidden by Cedar: policy")


def test_what_no_policy_permits_is_forbidden() -> None:
    assert ruled('permit (principal == Model::"strong", action, resource);') == "forbidden by Cedar: no policy permits it"
    assert ruled('permit (principal == Model::"strong", action, resource);', model="strong") is None
    assert ruled('permit (principal == Model::"a\\"b", action, resource);', model='a"b') is None


def test_a_forbid_that_errs_forbids() -> None:
    broken = ANYTHING + " forbid (principal, action, resource) when { principal.retention_seconds > 0 };"
    # The trap: Cedar leaves the policy out, and allows.
    entity = {"uid": {"type": "Model", "id": "fast"}, "attrs": {}, "parents": []}
    request = {"principal": 'Model::"fast"', "action": 'Action::"see"', "resource": 'Data::"payload"', "context": {}}
    assert cedarpy.is_authorized(request, broken, [entity]).allowed
    rule = ruled(broken)
    assert rule is not None
    assert rule.startswith("a Cedar policy errs: ")
    # And so does a permit that errs beside one that does not.
    assert "errs" in str(ruled(ANYTHING + " permit (principal, action, resource) when { context.nothing == 1 };"))


def test_a_cedar_that_fails_forbids(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = CedarRules(ANYTHING)

    def fails(*_: object) -> None:
        msg = "out of memory"
        raise RuntimeError(msg)

    monkeypatch.setattr(cedarpy, "is_authorized", fails)
    assert rules.failing_rule(PII, EUROPE, model="fast", now=1.7e9) == "Cedar failed (RuntimeError)"


@pytest.mark.parametrize("now", [math.nan, math.inf, -math.inf])
def test_a_clock_that_gives_no_time_forbids(now: float) -> None:
    assert ruled(ANYTHING, now=now) == "the clock gives no time"


@pytest.mark.parametrize("policies", ["permit (", "", "  "])
def test_policies_that_cannot_be_read_are_told(policies: str) -> None:
    with pytest.raises(ConfigurationError, match="policies"):
        CedarRules(policies)


def test_without_cedarpy_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(MissingExtra, match=r"session-router\[cedar\]"):
        CedarRules(ANYTHING)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_file_of_rules_may_come_from_any_editor(tmp_path: Path, encoding: str, line_end: str) -> None:
    (tmp_path / "rules.cedar").write_text(f"// Anything.\n{ANYTHING}\n", encoding=encoding, newline=line_end)
    text = '[policy]\nrules = "rules.cedar"\n[models.fast]\nmodel = "openai:small"\nprices = {input = 1, output = 2}\n'
    (tmp_path / "router.toml").write_text(text, encoding=encoding, newline=line_end)
    rules = load_router(tmp_path / "router.toml", environment={}).policy.rules
    assert rules is not None
    assert rules.failing_rule(PII, EUROPE, model="fast", now=1.7e9) is None
