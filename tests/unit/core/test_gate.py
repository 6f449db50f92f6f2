"""Cheaper models stand in for the reference only where that is certified."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_router.core.decision import Action, Decision, Reason
from session_router.core.governance import Clearance, Level, Tag
from session_router.core.need import Need, Question
from session_router.core.policy import Policy
from session_router.core.risk import Certificate
from session_router.errors import ConfigurationError
from session_router.router import Router
from support.talk import Talk
from values import FAST, OTHER, STRONG, spec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from session_router.core.model import ModelName, ModelSpec

CERTIFICATE = Certificate(reference=STRONG, least_chance=0.7, under_served=1, segments=90, bound=0.06, delta=0.05)
GATED = Policy(stake=0.0, cap=None, reference=STRONG)
"""Nothing is at stake, so that dollars alone would always take the cheapest."""


@dataclass
class Certifies:
    """A scorer that gives every model one chance, and some of them a certificate."""

    certificates: Mapping[ModelName, Certificate] = field(default_factory=dict)
    chance: float = 0.8

    def score(self, question: Question, models: Mapping[ModelName, ModelSpec]) -> Mapping[ModelName, Need]:
        del question
        return {name: Need(p_success=self.chance, certificate=self.certificates.get(name)) for name in models}

    async def ascore(self, question: Question, models: Mapping[ModelName, ModelSpec]) -> Mapping[ModelName, Need]:
        return self.score(question, models)


def routed(
    policy: Policy = GATED, models: Mapping[ModelName, ModelSpec] | None = None, *, asked: dict[str, Any] | None = None, **how: Any
) -> Decision:
    three = {FAST: spec(1.0), OTHER: spec(2.0), STRONG: spec(3.0)} if models is None else dict(models)
    return Talk(Router(three, policy=policy, scorer=Certifies(**how), key=b"k" * 32)).asked(100, **(asked or {}))


def excluded(decision: Decision) -> dict[str, str]:
    return {one.model: one.excluded for one in decision.evidence.candidates if one.excluded}


def test_without_a_certificate_the_reference_serves() -> None:
    decision = routed()
    assert (decision.model, decision.reason) == (STRONG, Reason.FIRST_CALL)
    assert excluded(decision) == dict.fromkeys((FAST, OTHER), "it is not certified to stand in for `strong`")
    # The check bites: without a gate the cheapest would.
    assert routed(replace(GATED, reference=None)).model == FAST


def test_a_certified_model_stands_in_and_the_row_says_why() -> None:
    decision = routed(certificates={FAST: CERTIFICATE})
    assert decision.model == FAST
    assert set(excluded(decision)) == {OTHER}
    row = {one["model"]: one for one in decision.to_plain()["evidence"]["candidates"]}
    assert row[FAST]["certificate"] == CERTIFICATE.to_plain()
    assert "certificate" not in row[OTHER]


@pytest.mark.parametrize(
    "wrong", [{"reference": OTHER}, {"bound": 0.11}, {"delta": 0.06}, {"least_chance": 0.81}], ids=["reference", "alpha", "delta", "region"]
)
def test_a_certificate_of_something_else_is_none(wrong: dict[str, Any]) -> None:
    assert routed(certificates={FAST: replace(CERTIFICATE, **wrong)}).model == STRONG


@given(bound=st.floats(0, 1), delta=st.floats(0.001, 0.999), least=st.floats(0, 1), chance=st.floats(0, 1), alpha=st.floats(0, 0.99))
def test_nothing_uncertified_ever_stands_in(bound: float, delta: float, least: float, chance: float, alpha: float) -> None:
    certificate = replace(CERTIFICATE, bound=bound, delta=delta, least_chance=least)
    policy = replace(GATED, alpha=alpha)
    decision = routed(policy, certificates={FAST: certificate}, chance=chance)
    assert (decision.model == FAST) is (bound <= alpha and delta <= policy.delta and chance >= least)


def test_a_dearer_model_needs_no_certificate() -> None:
    dear = {FAST: spec(1.0), STRONG: spec(3.0), OTHER: spec(9.0)}
    assert set(excluded(routed(models=dear))) == {FAST}


def test_what_is_possible_outranks_the_gate() -> None:
    """Without the reference, somebody must answer."""
    small = {FAST: spec(1.0), OTHER: spec(2.0), STRONG: replace(spec(3.0), context_window=10)}
    assert routed(models=small).model == FAST
    assert routed(asked={"failed": (STRONG,)}).model == FAST


def test_what_is_allowed_outranks_the_gate() -> None:
    cleared = Clearance(max_level=Level.CONFIDENTIAL)
    models = {FAST: replace(spec(1.0), clearance=cleared), OTHER: replace(spec(2.0), clearance=cleared), STRONG: spec(3.0)}
    assert routed(models=models, asked={"tag": Tag(level=Level.CONFIDENTIAL)}).model == FAST


def test_a_lock_outranks_the_gate_and_the_next_boundary_obeys_it() -> None:
    scorer = Certifies({FAST: CERTIFICATE})
    talk = Talk(Router({FAST: spec(1.0), STRONG: spec(3.0)}, policy=GATED, scorer=scorer, key=b"k" * 32))
    first = talk.asked(100)
    assert first.model == FAST
    talk.answered(first, "call")
    scorer.certificates = {}
    assert (talk.again().model, talk.again().reason) == (FAST, Reason.LOCKED)
    talk.went_on(talk.again())
    decision = talk.asked(100)
    assert (decision.action, decision.model) == (Action.SWITCH, STRONG)


def test_the_reference_must_be_a_route() -> None:
    with pytest.raises(ConfigurationError, match=r"policy\.reference"):
        Router({FAST: spec(1.0)}, policy=GATED)
