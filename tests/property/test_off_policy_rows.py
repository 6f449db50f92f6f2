"""A row of a decision is enough to choose again, by its own policy and by another; and the value of a policy is found from rows."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from session_router.core.decision import Reason
from session_router.core.model import ModelName, ModelSpec
from session_router.core.policy import Policy
from session_router.core.prefix import PromptCache
from session_router.core.pricing import Prices
from session_router.core.session import SessionId
from session_router.core.switching import Standing, decide
from session_router.errors import ConfigurationError, NoOverlap, RecordingError
from session_router.regret.logged import read_decision, read_feedback
from session_router.regret.off_policy import LeftOut, OffPolicyEvaluation, ValuedBoundary
from session_router.router import Router
from support.talk import Says, Talk
from values import FAST, OTHER, STRONG, tool

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from session_router.core.decision import Decision

NAMES = (FAST, STRONG, OTHER)
MODELS = {
    name: ModelSpec(
        model="simulated",
        prices=Prices(input=dollars, output=5 * dollars, cached_input=dollars / 10),
        prompt_cache=PromptCache(minimum_tokens=0),
    )
    for name, dollars in ((FAST, 0.25), (STRONG, 3.0), (OTHER, 1.0))
}
Turns = list[tuple[dict[ModelName, float], int, float, int]]

turns: st.SearchStrategy[Turns] = st.lists(
    st.tuples(
        st.fixed_dictionaries(dict.fromkeys(NAMES, st.sampled_from([0.0, 0.5, 0.9, 0.99]))),
        st.sampled_from([10, 2_000]),
        st.sampled_from([1.0, 400.0]),
        st.integers(0, 2),
    ),
    min_size=2,
    max_size=10,
)
policies = st.builds(
    Policy,
    stake=st.sampled_from([0.01, 0.1]),
    margin=st.sampled_from([0.0, 0.1]),
    cooldown=st.integers(0, 2),
    patience=st.integers(0, 2),
    cap=st.sampled_from([None, 0.0, 0.5]),
    handoff=st.sampled_from([0.0, 0.01]),
    explore=st.sampled_from([0.0, 0.4]),
    explore_dollars=st.sampled_from([0.01, 10.0]),
)


def decisions(turns: Turns, policy: Policy, session: SessionId | None = None) -> Iterator[Decision]:
    scorer = Says({})
    talk = Talk(Router(MODELS, policy=policy, scorer=scorer, key=b"k" * 32), session=session or SessionId("5e" * 32))
    for chances, tokens, wait, loops in turns:
        scorer.chances = chances
        yield talk.turn(tokens, wait=wait, loop=[500] * loops)


def row_of(decision: Decision) -> dict[str, Any]:
    row: dict[str, Any] = json.loads(json.dumps(decision.to_plain()))
    return row


def chosen_again(row: Mapping[str, Any], policy: Policy, *, without: str = "") -> tuple[ModelName, float]:
    """Which model the policy chooses by the row, and its logged chance; `without` some fact of the row."""
    choice = read_decision(row).choice
    assert choice is not None
    bare = Standing(current=choice.standing.current, trusted=choice.standing.trusted)
    standing = replace(choice.standing, **{without: getattr(bare, without)}) if without else choice.standing
    name = decide(choice.offers, standing, policy).model
    return name, choice.propensities.get(name, 0.0)


def test_a_row_is_enough_to_choose_again() -> None:
    met, missed = Counter[Reason](), Counter[str]()

    @settings(max_examples=200, deadline=None, derandomize=True)  # what is met is counted
    @given(turns, policies)
    def law(turns: Turns, policy: Policy) -> None:
        for decision in decisions(turns, policy):
            row = row_of(decision)
            own, chance = chosen_again(row, policy)
            met[decision.reason] += 1
            assert chance == 1 - (policy.explore if len(read_propensities(row)) > 1 else 0.0)
            if decision.reason is not Reason.EXPLORED:
                assert own == decision.model
            for fact in ("work", "ledger", "since_switch", "quiet", "reserve"):
                missed[fact] += chosen_again(row, policy, without=fact)[0] != own

    law()
    wanted = (
        Reason.EXPLORED,
        Reason.CAPPED,
        Reason.WITHIN_MARGIN,
        Reason.COOLDOWN,
        Reason.WORK_FUNCTION,
        Reason.LOWER_EXPECTED_COST,
        Reason.SUSTAINED_LOW_NEED,
    )
    assert min(met[reason] for reason in wanted) >= 3, met
    # Each fact is needed: without it some boundary is decided otherwise.
    assert min(missed[fact] for fact in ("work", "ledger", "since_switch", "quiet", "reserve")) >= 1, missed


@settings(max_examples=100, deadline=None)
@given(turns, policies, st.sampled_from([0.0, 0.02, 5.0]))
def test_a_row_is_enough_to_choose_at_another_stake(turns: Turns, policy: Policy, stake: float) -> None:
    """Of a session whose history does not hang on the stake."""
    pinned = replace(policy, cap=None, explore=0.0)
    wanted: list[Mapping[ModelName, Any]] = []
    for one in (pinned, replace(pinned, stake=stake)):
        first = next(decisions(turns, one))
        choice = read_decision(row_of(first)).choice
        assert choice is not None
        at_stake = choice.at_stake(stake)
        assert at_stake is not None
        wanted.append(at_stake.offers)
        if one.stake == stake:
            assert first.model == decide(wanted[0], at_stake.standing, one).model
            expected = {name: offer.expected for name, offer in choice.offers.items()}
            for offers in wanted:
                assert {name: offer.expected for name, offer in offers.items()} == pytest.approx(expected)


def test_at_its_own_stake_a_row_is_what_it_was() -> None:
    for decision in decisions([({FAST: 0.9, STRONG: 0.99, OTHER: 0.5}, 2_000, 1.0, 1)] * 6, Policy(stake=0.1)):
        choice = read_decision(row_of(decision)).choice
        assert choice is not None
        again = choice.at_stake(0.1)
        assert again is not None
        assert again.offers == choice.offers
        assert again.standing.unmoved == pytest.approx(choice.standing.unmoved)
        assert replace(again, standing=replace(again.standing, unmoved=choice.standing.unmoved)) == choice


def read_propensities(row: Mapping[str, Any]) -> Mapping[ModelName, float]:
    choice = read_decision(row).choice
    assert choice is not None
    return choice.propensities


SERVED = {FAST: 0.55, STRONG: 0.95, OTHER: 0.7}
"""What comes of segments, which the scorer misjudges."""
BELIEVED = {FAST: 0.97, STRONG: 0.98, OTHER: 0.6}
LOGGING = Policy(stake=0.05, cap=None, explore=0.4, explore_dollars=10.0)


def logged(policy: Policy = LOGGING, *, sessions: int = 100, seed: int = 4, turns: int = 4) -> list[tuple[Decision, float]]:
    """Decisions at boundaries, with what came of them."""
    generator = np.random.default_rng(seed)
    found: list[tuple[Decision, float]] = []
    for number in range(sessions):
        name = SessionId(f"{number:064x}")
        found += [
            (decision, float(generator.random() < SERVED[decision.chosen()]))
            for decision in decisions([(BELIEVED, 1_000, 1.0, 0)] * turns, policy, name)
        ]
    return found


def evaluated(log: list[tuple[Decision, float]], policy: Policy, *, told: int | None = None) -> OffPolicyEvaluation:
    evaluation = OffPolicyEvaluation(policy, MODELS)
    for decision, _ in log:
        evaluation.add_decision(read_decision(row_of(decision)))
    for decision, success in log[:told]:
        evaluation.add_feedback(*read_feedback({"decision_id": decision.id, "success": success}))
    return evaluation


@pytest.fixture(scope="module")
def log() -> list[tuple[Decision, float]]:
    return logged()


PATIENT = Policy(stake=0.1, cap=None, margin=0.9, patience=0, explore_dollars=10.0)
HASTY = replace(PATIENT, margin=0.0)


def unmoved(policy: Policy, session: SessionId | None = None) -> list[tuple[Decision, float]]:
    """A session that a patient policy keeps where it is, though a better model is there in the end."""
    easy, hard = {FAST: 0.99, STRONG: 0.1, OTHER: 0.1}, {FAST: 0.8, STRONG: 0.99, OTHER: 0.5}
    made = decisions([(easy, 10, 1.0, 0)] * 6 + [(hard, 10, 1.0, 0)] * 2, policy, session)
    return [(decision, 1.0) for decision in made]


class TestTheValueOfAPolicy:
    def test_the_logged_policy_without_exploration_is_worth_what_its_own_choices_were(self, log: list[tuple[Decision, float]]) -> None:
        """In a world in which it matters who answers, and nothing else."""
        report = evaluated(log, replace(LOGGING, explore=0.0)).report()
        boundaries = [one for one in evaluated(log, LOGGING).valued() if isinstance(one, ValuedBoundary)]
        truth = float(np.mean([SERVED[one.new] for one in boundaries]))
        for estimate in (report.success.ips, report.success.snips, report.success.dr):
            assert estimate is not None
            assert estimate.low is not None
            assert estimate.high is not None
            # Of intervals at 95 %, one in twenty misses. Twice as wide, one in ten thousand does.
            assert abs(estimate.value - truth) <= estimate.high - estimate.low
        assert report.success.boundaries == len(log)
        assert 0 < report.differing < len(log)
        assert report.left_out == {}
        # What was predicted is far off.
        assert abs(truth - float(np.mean([BELIEVED[one.new] for one in boundaries]))) > 0.2

    def test_dollars_are_those_of_the_calls_and_of_what_was_served_badly(self, log: list[tuple[Decision, float]]) -> None:
        report = evaluated(log, LOGGING).report()
        expected = []
        for decision, success in log:
            offer = next(one.offer for one in decision.evidence.candidates if one.model == decision.model)
            assert offer is not None
            expected.append(offer.ingest + offer.loop + offer.handoff + 0.05 * (1 - success))
        assert report.dollars.logged.value == pytest.approx(np.mean(expected))

    def test_the_order_of_rows_and_of_feedback_is_irrelevant(self, log: list[tuple[Decision, float]]) -> None:
        new = replace(LOGGING, margin=0.5)
        one, other = evaluated(log, new).report(), evaluated(log[::-1], new).report()
        assert one.success.dr.value == pytest.approx(other.success.dr.value)
        assert one.differing == other.differing

    def test_all_that_is_told_survives_json(self, log: list[tuple[Decision, float]]) -> None:
        evaluation = evaluated(log, LOGGING)
        report = evaluation.report().to_plain()
        assert json.loads(json.dumps(report)) == report
        assert report["used"] == len(log)
        rows = [one.to_plain() for one in evaluation.valued() if isinstance(one, ValuedBoundary)]
        assert json.loads(json.dumps(rows)) == rows
        assert {row["propensity"] for row in rows} == {0.2, 0.6}

    def test_a_log_without_exploration_tells_of_policies_that_choose_alike(self) -> None:
        log = logged(replace(LOGGING, explore=0.0), sessions=3)
        report = evaluated(log, replace(LOGGING, margin=0.99)).report()
        assert (report.differing, report.success.gain.value) == (0, 0.0)


class TestWhatIsLeftOut:
    def left_out(self, log: list[tuple[Decision, float]], policy: Policy, **how: Any) -> Mapping[LeftOut, int]:
        return evaluated(log, policy, **how).report().left_out

    def test_boundaries_without_feedback(self, log: list[tuple[Decision, float]]) -> None:
        assert self.left_out(log, LOGGING, told=50) == {LeftOut.NO_OUTCOME: len(log) - 50}

    def test_those_of_another_stake_on_which_something_hangs_that_nobody_knows(self, log: list[tuple[Decision, float]]) -> None:
        evaluation = OffPolicyEvaluation(replace(LOGGING, stake=0.06), MODELS)
        decision, success = log[0]
        row = row_of(decision)
        del row["evidence"]["candidates"][1]["later"]
        evaluation.add_decision(read_decision(row))
        evaluation.add_feedback(decision.id, success, 1.0)
        assert list(evaluation.valued()) == [LeftOut.OTHER_STAKE]
        with pytest.raises(ConfigurationError, match="other_stake: 1"):
            evaluation.report()

    def test_those_that_have_a_model_without_a_route(self, log: list[tuple[Decision, float]]) -> None:
        evaluation = OffPolicyEvaluation(LOGGING, {FAST, STRONG})
        decision, success = log[0]
        evaluation.add_decision(read_decision(row_of(decision)))
        evaluation.add_feedback(decision.id, success, 1.0)
        assert list(evaluation.valued()) == [LeftOut.NO_ROUTE]

    def test_those_that_the_same_policy_would_not_choose(self, log: list[tuple[Decision, float]]) -> None:
        decision, success = next(one for one in log if one[0].reason is not Reason.EXPLORED)
        row = row_of(decision)
        for one in row["evidence"]["candidates"]:
            # As if somebody had made the chosen one dear.
            one["loop"] = 50.0 if one["model"] == decision.model else one["loop"]
        evaluation = OffPolicyEvaluation(LOGGING, MODELS)
        evaluation.add_decision(read_decision(row))
        evaluation.add_feedback(decision.id, success, 1.0)
        assert list(evaluation.valued()) == [LeftOut.NOT_REPRODUCED]

    def test_those_at_which_chance_could_not_lead_where_the_new_policy_would_go(self) -> None:
        without = unmoved(PATIENT)
        log = [*without, *(pair for number in range(20) for pair in unmoved(replace(PATIENT, explore=0.4), SessionId(f"{number:064x}")))]
        report = evaluated(log, HASTY).report()
        assert report.left_out == {LeftOut.NO_CHANCE: sum(chosen_again(row_of(one), HASTY)[0] != one.model for one, _ in without)}
        assert report.success.boundaries + report.left_out[LeftOut.NO_CHANCE] == len(log)

    def test_what_was_pinned_or_failed_or_had_one_candidate(self) -> None:
        scorer = Says(BELIEVED)
        talk = Talk(Router(MODELS, policy=LOGGING, scorer=scorer, key=b"k" * 32))
        pinned = talk.asked(only=STRONG)
        talk.answered(pinned)
        first = talk.asked()
        talk.failed(first)
        second = talk.again(failed=(first.chosen(),))
        talk.answered(second)
        evaluation = evaluated([(one, 1.0) for one in (pinned, first, second)], LOGGING)
        assert list(evaluation.valued()) == [LeftOut.NO_CHOICE, LeftOut.NOT_THE_POLICY]


class TestOutcomes:
    def test_feedback_on_any_call_of_a_segment_is_about_its_boundary(self) -> None:
        talk = Talk(Router(MODELS, policy=LOGGING, scorer=Says(BELIEVED), key=b"k" * 32))
        boundary = talk.asked()
        talk.answered(boundary, "call")
        talk.steps.append(tool("call"))
        later = talk.again()
        assert later.reason is Reason.LOCKED
        evaluation = OffPolicyEvaluation(LOGGING, MODELS)
        for decision in (boundary, later):
            evaluation.add_decision(read_decision(row_of(decision)))
        evaluation.add_feedback(later.id, 0.25, 1.0)
        (found,) = evaluation.valued()
        assert isinstance(found, ValuedBoundary)
        assert (found.success, found.logged.decision) == (0.25, boundary.id)

    def test_several_pieces_are_averaged_by_their_weights(self, log: list[tuple[Decision, float]]) -> None:
        decision, _ = log[0]
        evaluation = OffPolicyEvaluation(LOGGING, MODELS)
        evaluation.add_decision(read_decision(row_of(decision)))
        for success, weight in ((1.0, 1.0), (0.0, 0.25)):
            evaluation.add_feedback(decision.id, success, weight)
        evaluation.add_feedback("nobody's", 1.0, 1.0)
        (found,) = evaluation.valued()
        assert isinstance(found, ValuedBoundary)
        assert found.success == pytest.approx(0.8)
        assert evaluation.unmatched == 1

    def test_a_boundary_that_was_asked_again_counts_once(self) -> None:
        talk = Talk(Router(MODELS, policy=LOGGING, scorer=Says(BELIEVED), key=b"k" * 32))
        log = [(talk.asked(), 1.0), (talk.again(), 1.0)]
        assert len(list(evaluated(log, LOGGING).valued())) == 1

    def test_what_a_middleware_asks_takes_no_boundary_away(self) -> None:
        talk = Talk(Router(MODELS, policy=LOGGING, scorer=Says(BELIEVED), key=b"k" * 32))
        boundary = talk.asked()
        talk.answered(boundary)
        internal = talk.again(internal=True)
        (found,) = evaluated([(boundary, 1.0), (internal, 0.0)], LOGGING).valued()
        assert isinstance(found, ValuedBoundary)
        assert found.logged.decision == boundary.id


BAD = [
    ("evidence", []),
    ("decision_id", 5),
    ("session", 5),
    ("policy", None),
    ("boundary", 3),
    ("evidence.trusted", "yes"),
    ("evidence.stake", -1),
    ("evidence.candidates", {}),
    ("evidence.candidates.0", 5),
    ("evidence.candidates.0.loop", "dear"),
    ("evidence.candidates.0.loop", float("nan")),
    ("evidence.candidates.0.p_success", 1.5),
    ("evidence.candidates.0.propensity", 2.0),
    ("evidence.candidates.0.later", [1.0, 2.0]),
    ("evidence.candidates.0.later", 3.0),
    ("evidence.candidates.0.later", [1.0, -2.0, 0.0]),
    ("evidence.standing.ledger", ["fast"]),
    ("evidence.standing.work", {"fast": -1.0}),
    ("evidence.standing.quiet", 0.5),
    ("evidence.propensity", 0.0),
    ("evidence.propensity", 0.123),
    ("model", "nobody"),
]


@pytest.mark.parametrize(("place", "wrong"), BAD)
def test_rows_that_are_something_else_are_refused(log: list[tuple[Decision, float]], place: str, wrong: object) -> None:
    row = row_of(log[1][0])
    assert read_decision(row).choice is not None
    table: Any = row
    *path, last = (int(part) if part.isdigit() else part for part in place.split("."))
    for part in path:
        table = table[part]
    table[last] = wrong
    with pytest.raises(RecordingError) as caught:
        read_decision(row, source="rows.jsonl", line=3)
    assert str(caught.value).startswith("rows.jsonl, line 3, `")


@pytest.mark.parametrize(
    "row", [{}, {"decision_id": "d", "success": 2}, {"decision_id": "d", "success": 1, "weight": 0}, {"decision_id": 5, "success": True}]
)
def test_feedback_that_is_something_else_is_refused(row: dict[str, object]) -> None:
    assert read_feedback({"decision_id": "d", "success": True, "weight": 0.5}) == ("d", 1.0, 0.5)
    with pytest.raises(RecordingError):
        read_feedback(row)


def test_no_overlap_is_an_error_that_says_what_to_turn_on() -> None:
    """The new policy would leave at once, and the logged one never left anything to chance."""
    log = unmoved(PATIENT)
    assert {decision.model for decision, _ in log} == {FAST}
    assert evaluated(log, PATIENT).report().differing == 0
    with pytest.raises(NoOverlap, match=r"policy\.explore"):
        evaluated(log, HASTY).report()
