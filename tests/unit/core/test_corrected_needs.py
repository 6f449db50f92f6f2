"""Where beliefs act: after the risk gate, before the dollars; and a decision shows both what was said and what was believed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from session_router import Feedback, Policy
from session_router.cli.offers import candidate_lines
from session_router.cli.row_shape import problem_of
from session_router.core.account import Account
from session_router.core.belief import Belief
from session_router.core.need import Need
from session_router.core.population import FEEDBACK_MEMORY, informed, opened, taught
from session_router.core.risk import Certificate
from session_router.identity import population_id
from session_router.router import Router
from support.talk import Says, Talk
from values import FAST, SESSION, STRONG, spec, specs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from session_router.core.decision import Candidate, Decision
    from session_router.core.model import ModelName, ModelSpec

KEY = b"k" * 32
CERTIFICATE = Certificate(reference=STRONG, least_chance=0.7, under_served=1, segments=90, bound=0.06, delta=0.05)
NEEDS = {FAST: Need(p_success=0.8), STRONG: Need(p_success=0.9)}


@dataclass
class Certifies:
    """A scorer that gives every model one chance, and `fast` a certificate."""

    chance: float
    certificates: Mapping[str, Certificate] = field(default_factory=lambda: {FAST: CERTIFICATE})

    def score(self, question: Any, models: Mapping[ModelName, ModelSpec]) -> Mapping[ModelName, Need]:
        del question
        return {name: Need(p_success=self.chance, certificate=self.certificates.get(name)) for name in models}

    async def ascore(self, question: Any, models: Mapping[ModelName, ModelSpec]) -> Mapping[ModelName, Need]:
        return self.score(question, models)


def of_fast(decision: Decision) -> Candidate:
    return next(one for one in decision.evidence.candidates if one.model == FAST)


def told(router: Router, feedback: Feedback, times: int) -> Talk:
    """A session of which so much was said, each time of another turn, that `fast` answered."""
    talk = Talk(router)
    for _ in range(times):
        decision = talk.turn(counted=1.0, output=400)
        assert decision.model == FAST
        router.feedback(decision, feedback)
    return talk


class TestGate:
    def router(self, chance: float, **settings: Any) -> Router:
        policy = Policy(**{"stake": 0.0, "cap": None, "reference": STRONG, **settings})
        return Router({FAST: spec(1.0), STRONG: spec(3.0)}, policy=policy, scorer=Certifies(chance), key=KEY)

    def test_what_is_certified_stays_so_whatever_feedback_makes_of_the_chance(self) -> None:
        subject = self.router(0.8)
        decision = told(subject, Feedback.task(success=False), 6).asked()
        chance = of_fast(decision).p_success
        assert chance is not None
        assert chance < CERTIFICATE.least_chance
        assert (decision.model, of_fast(decision).excluded) == (FAST, "")

    def test_what_is_not_certified_does_not_become_so(self) -> None:
        taught_by = self.router(0.65, reference=None)
        told(taught_by, Feedback.task(success=True), 6)
        subject = self.router(0.65)
        subject.store = taught_by.store
        decision = Talk(subject).asked()
        assert of_fast(decision).excluded
        assert decision.model == STRONG
        chance = of_fast(decision).p_success
        assert chance is not None
        assert chance > CERTIFICATE.least_chance


class TestEvidence:
    def row(self, times: int) -> tuple[Decision, dict[str, Any]]:
        router = Router(specs(), scorer=Says({FAST: 0.9, STRONG: 0.95}), policy=Policy(stake=0.05), key=KEY)
        decision = told(router, Feedback.thumbs(up=False), times).asked()
        return decision, decision.to_plain()

    def test_both_what_was_said_and_what_was_believed_are_kept(self) -> None:
        decision, row = self.row(2)
        fast, strong = row["evidence"]["candidates"]
        assert fast["scored"] == 0.9
        assert fast["p_success"] == of_fast(decision).p_success != 0.9
        assert "scored" not in strong
        # The dollars rest on what was believed.
        assert fast["risk"] == pytest.approx(0.05 * (1 - fast["p_success"]))

    def test_it_can_be_recomputed_from_the_row_and_the_session(self) -> None:
        decision, row = self.row(2)
        assert decision.session is not None
        assert decision.session.account is not None
        belief = decision.session.account.beliefs[FAST]
        fast = row["evidence"]["candidates"][0]
        assert belief.corrected(Need(p_success=fast["scored"])).p_success == fast["p_success"]

    def test_without_feedback_a_row_has_one_chance(self) -> None:
        decision, row = self.row(0)
        assert of_fast(decision).scored == of_fast(decision).p_success == 0.9
        assert not [one for one in row["evidence"]["candidates"] if "scored" in one]

    def test_explain_tells_both(self) -> None:
        _, row = self.row(2)
        row = {**row, "session_id": "s", "message_index": 1}
        assert problem_of(row) is None
        fast, strong = candidate_lines(row)[-2:]
        assert "the scorer said 90.0%, and feedback corrects it" in fast
        assert "scorer said" not in strong
        row["evidence"]["candidates"][0]["scored"] = "high"
        assert problem_of(row) is not None


class TestAccount:
    def test_without_beliefs_needs_are_the_very_same(self) -> None:
        assert Account().corrected(NEEDS) is NEEDS

    def test_only_models_of_which_something_was_said_are_corrected(self) -> None:
        corrected = Account(beliefs={FAST: Belief(shift=-1.0)}).corrected(NEEDS)
        assert corrected[STRONG] is NEEDS[STRONG]
        assert corrected[FAST].p_success < NEEDS[FAST].p_success

    def test_a_certificate_stays_with_its_need(self) -> None:
        needs = {FAST: replace(NEEDS[FAST], certificate=CERTIFICATE)}
        assert Account(beliefs={FAST: Belief(shift=-1.0)}).corrected(needs)[FAST].certificate == CERTIFICATE

    def test_habits_and_drift_are_of_what_was_believed(self) -> None:
        """What a chance is compared with later is of its own kind."""
        router = Router(specs(), scorer=Says({FAST: 0.9, STRONG: 0.95}), policy=Policy(stake=0.05), key=KEY)
        talk = told(router, Feedback.thumbs(up=False), 1)
        before = talk.stored.account
        assert before is not None
        decision = talk.asked()
        after = talk.stored.account
        assert after is not None
        chance = of_fast(decision).p_success
        assert chance is not None
        assert before.drift.chances[FAST] == 0.9
        assert chance < after.drift.chances[FAST] < 0.9


class TestPopulation:
    def test_it_forgets_more_slowly_than_a_session(self) -> None:
        router = Router(specs(), scorer=Says({FAST: 0.9, STRONG: 0.95}), key=KEY)
        decision = Talk(router).asked()
        assert decision.boundary is not None
        feedback = Feedback.task(success=False)
        one, every = Account(), None
        for _ in range(300):
            one, every = one.told(decision.boundary, feedback), informed(every, decision.boundary, feedback)
        assert every is not None
        assert every.beliefs[FAST].variance < one.beliefs[FAST].variance
        assert FEEDBACK_MEMORY < 1

    def test_marks_are_not_handed_down(self) -> None:
        every = Account(beliefs={FAST: Belief(shift=-1.0, variance=0.1)}, marks=("ab" * 8,))
        assert opened(every).marks == ()
        assert opened(every).beliefs == {FAST: Belief(shift=-1.0, variance=0.1).as_prior()}
        assert taught(every, []).marks == every.marks

    def test_the_session_sees_its_own_row_and_not_that_of_all(self) -> None:
        router = Router(specs(), scorer=Says({FAST: 0.9, STRONG: 0.95}), policy=Policy(stake=0.05), key=KEY)
        talk = Talk(router)
        talk.turn(counted=1.0, output=400)
        row = router.store.load(population_id(KEY))
        assert row is not None
        assert router.store.commit(replace(row, account=Account(beliefs={FAST: Belief(shift=-5.0)})).committed())
        assert of_fast(talk.asked()).p_success == 0.9
        assert of_fast(Talk(router, session=type(SESSION)("b0" * 32)).asked()).p_success != 0.9
