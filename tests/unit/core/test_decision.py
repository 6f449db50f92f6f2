"""A decision explains itself: as a row, and as the error that a refusal stands for."""

from __future__ import annotations

import json
from collections import Counter
from itertools import chain
from typing import Any

import pytest

from session_router.core.decision import Action, Candidate, Decision, Evidence, Reason
from session_router.core.governance import Clearance, Level, Tag
from session_router.core.ledger import Ledger
from session_router.core.model import ModelName
from session_router.core.offer import Offer
from session_router.core.policy import OnUnportable, Policy
from session_router.core.pricing import USD
from session_router.core.switching import Standing, decide
from session_router.core.transcript import EMPTY_DIGEST, Prefix
from session_router.errors import NoCapableModel, NoClearedModel, SessionRouterError, StoreUnavailable, Unportable
from session_router.router import Router
from support.talk import Says, Talk
from values import FAST, STRONG, FlakyStore, ai, call_of, human, router, signed, spec, tool


def decision(action: Action, reason: Reason, *candidates: Candidate, model: str | None = None, **evidence: object) -> Decision:
    return Decision(
        id="0" * 32,
        action=action,
        model=model,  # type: ignore[arg-type]
        previous=FAST,
        reason=reason,
        lock=None,
        evidence=Evidence(candidates=candidates, **evidence),  # type: ignore[arg-type]
        policy="v",
        session_id=None,
        session=None,
        turn=1,
        call=1,
        steps=1,
        prefix=Prefix(EMPTY_DIGEST, 0),
        at=0.0,
    )


@pytest.mark.parametrize(
    ("action", "switched"),
    [(Action.KEEP, False), (Action.SWITCH, True), (Action.FORCED_SWITCH, True), (Action.CACHE_HIT, False), (Action.REFUSE, False)],
)
def test_two_actions_are_switches(action: Action, *, switched: bool) -> None:
    assert decision(action, Reason.LOCKED, model=FAST).switched is switched


def test_a_choice_is_its_model() -> None:
    assert decision(Action.KEEP, Reason.LOCKED, model=FAST).chosen() == FAST


REFUSED: list[tuple[Reason, Candidate, dict[str, object], type[SessionRouterError], str]] = [
    (
        Reason.NOT_CLEARED,
        Candidate(model=STRONG, excluded="level internal is above its public", uncleared=True),
        {"tag": "data labelled internal"},
        NoClearedModel,
        (
            "no model is cleared for data labelled internal (`strong`: level internal is above its public). "
            "Clear a model for it, or remove a label."
        ),
    ),
    (
        Reason.NOT_CAPABLE,
        Candidate(model=STRONG, excluded="it has just failed"),
        {},
        NoCapableModel,
        "no model can serve this call (`strong`: it has just failed). Add a route that can, or shorten the request.",
    ),
    (
        Reason.UNPORTABLE,
        Candidate(model=STRONG, excluded="the history is bound elsewhere by container", unportable=True),
        {"blocked_by": ("container",)},
        Unportable,
        (
            "`strong` cannot take container of this history. "
            'Set `on_unportable` to "stay" to keep the model, or to "convert" to strip what can be stripped; '
            "what a provider holds can only go to a route of the same account."
        ),
    ),
]


@pytest.mark.parametrize(("reason", "candidate", "evidence", "error", "text"), REFUSED)
def test_a_refusal_raises_what_it_stands_for_with_a_remedy(
    reason: Reason, candidate: Candidate, evidence: dict[str, object], error: type[SessionRouterError], text: str
) -> None:
    with pytest.raises(error) as caught:
        decision(Action.REFUSE, reason, Candidate(model=FAST), candidate, **evidence).chosen()
    assert str(caught.value) == text


def test_no_row_holds_more_than_json_can() -> None:
    secret = Tag(level=Level.CONFIDENTIAL)
    rows = [
        router().route(call_of(human())),
        router(wants=STRONG).route(call_of(human(), ai("call-1"), tool("call-1"))),
        router().route(call_of(human(), tag=secret)),
        router({FAST: router().models[FAST]}, store=FlakyStore(on_load=[StoreUnavailable("gone")])).route(call_of(human())),
        router(wants=STRONG, policy=Policy(stake=1.0, on_unportable=OnUnportable.RAISE)).route(
            call_of(human(), ai(bindings=(signed(FAST),)), human())
        ),
    ]
    for one in rows:
        plain = one.to_plain()
        assert json.loads(json.dumps(plain)) == plain
    assert rows[1].to_plain()["lock"] == {"kind": "tool_results_unread", "model": "fast", "waiting_for": 0}
    assert rows[2].to_plain()["evidence"]["tag"] == "data labelled confidential"
    assert rows[3].to_plain()["evidence"]["degraded"] == ["store"]
    assert rows[4].to_plain()["evidence"]["blocked_by"] == ["signed_thinking"]


def test_the_row_names_no_ids_of_calls() -> None:
    row = router().route(call_of(human(), ai("call-with-a-secret"))).to_plain()
    assert row["lock"]["waiting_for"] == 1
    assert "call-with-a-secret" not in json.dumps(row)


TERMS = ("ingest", "loop", "risk", "handoff", "afterwards")
POLICIES = [Policy(stake=0.01, margin=0.05, patience=2, cap=None), Policy(stake=0.01, cap=0.0, handoff=0.003)]
REASONS = {
    True: {Reason.FIRST_CALL, Reason.STILL_BEST, Reason.WITHIN_MARGIN, Reason.LOWER_EXPECTED_COST, Reason.SUSTAINED_LOW_NEED},
    False: {Reason.FIRST_CALL, Reason.STILL_BEST, Reason.CAPPED},
}


def recomputed(row: dict[str, Any], policy: Policy) -> tuple[str, Reason]:
    """Choose by what stands in a row, and the settings of its policy."""
    evidence, terms = row["evidence"], (*TERMS, "refresh", "arrival")
    offers = {
        ModelName(one["model"]): Offer(model=ModelName(one["model"]), **{term: USD(one.get(term, 0.0)) for term in terms})
        for one in evidence["candidates"]
        if "expected" in one
    }
    facts = dict(evidence.get("standing", {}))
    ledger = Ledger.from_plain(facts.pop("ledger")) if "ledger" in facts else None
    current = None if row["previous"] is None else ModelName(row["previous"])
    verdict = decide(offers, Standing(current=current, trusted=evidence["trusted"], ledger=ledger, **facts), policy)
    return verdict.model, verdict.reason


def test_the_terms_in_a_row_add_up() -> None:
    for one in chain(*sessions_of_every_kind()):
        row = json.loads(json.dumps(one.to_plain()))
        evidence = row["evidence"]
        offered = [candidate for candidate in evidence["candidates"] if "expected" in candidate]
        assert len(offered) == 2
        for candidate in offered:
            assert candidate["expected"] == pytest.approx(sum(candidate.get(term, 0.0) for term in TERMS))
            assert candidate.get("risk", 0.0) == pytest.approx(evidence["stake"] * (1 - candidate["p_success"]))
        assert set(evidence["forecast"]) == {"calls", "growth", "output", "further", "between"}


@pytest.mark.parametrize("policy", POLICIES, ids=["free", "capped"])
def test_the_row_is_enough_to_recompute_the_choice(policy: Policy) -> None:
    met, elsewhere = Counter[Reason](), 0
    for one in session(policy):
        row = json.loads(json.dumps(one.to_plain()))
        assert recomputed(row, policy) == (row["model"], row["reason"])
        met[one.reason] += 1
        # Without what the row says of the session, some would have been other choices.
        elsewhere += recomputed({**row, "evidence": {**row["evidence"], "standing": {}}}, policy) != (row["model"], row["reason"])
    assert elsewhere > 0
    assert met.keys() >= REASONS[policy.cap is None], met


def test_what_was_spent_is_the_sum_of_what_was_chosen() -> None:
    for made in sessions_of_every_kind():
        spent = 0.0
        for one in made:
            [offer] = [candidate.offer for candidate in one.evidence.candidates if candidate.model == one.model]
            assert offer is not None
            spent += offer.segment
            assert one.to_plain()["evidence"]["spent"][0] == pytest.approx(spent)


def sessions_of_every_kind() -> list[list[Decision]]:
    """Two sessions, never forced to move, that meet every reason for which dollars decide."""
    return [session(policy) for policy in POLICIES]


def session(policy: Policy) -> list[Decision]:
    scorer = Says({})
    talk = Talk(Router({FAST: spec(1.0), STRONG: spec(1.2)}, policy=policy, scorer=scorer, key=b"k" * 32))
    made: list[Decision] = []
    for fast in (0.5, 0.1, 0.9, 0.5, 0.48, 0.4, 0.1, 0.5, 0.5, 0.5, 0.0, 0.6, 0.47, 0.46, 0.46, 0.46, 0.9, 0.2, 0.9, 0.1, 0.9):
        scorer.chances = {FAST: fast, STRONG: 0.5}
        made.append(talk.turn(100, answer=20))
    return made


def test_what_is_not_known_is_left_out() -> None:
    assert Candidate(model=FAST).to_plain() == {"model": FAST}
    assert Candidate(model=FAST, cost=USD(0.0), p_success=0.0).to_plain() == {"model": FAST, "cost": 0.0, "p_success": 0.0}


def test_a_candidate_excluded_by_governance_says_so() -> None:
    models = {FAST: router().models[FAST], STRONG: router().models[STRONG]}
    cleared = {name: type(spec)(model="m", prices=spec.prices, clearance=Clearance()) for name, spec in models.items()}
    made = router(cleared).route(call_of(human(), tag=Tag(level=Level.INTERNAL)))
    assert {(one.model, one.uncleared) for one in made.evidence.candidates} == {(FAST, True), (STRONG, True)}
