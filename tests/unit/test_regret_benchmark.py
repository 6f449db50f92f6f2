from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace
from statistics import mean
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks._regret_need import CALIBRATED, NOISE, ORACLE, SCORER, Oracle, base_rates, heard_outcome
from benchmarks._regret_peers import (
    LANGCHAIN,
    LANGCHAIN_ROUTER,
    READINGS,
    by_dollars,
    cheapest_suited,
    once_a_run,
    peers,
    phased,
    user_turn,
)
from benchmarks._regret_plano import Binding, Cap, Visit, capped
from benchmarks._regret_play import OPTIMUM, OURS, UNLEARNED, Played, bill_of, play
from benchmarks._regret_sources import RecordedSession, Source
from benchmarks.regret import HIGHER, figure_names, print_ratio, print_rows
from session_router import ModelSpec, Policy, Prices, Router
from session_router.core.model import ModelName
from session_router.core.need import Need, Question
from session_router.recordings import recording_from_openai
from session_router.regret import Bill, Routing, ScorerChances, SessionCosts, Terms
from session_router.regret.routings import SINGLE_TURN, baselines
from session_router.replay import Pace, replay_session

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks._regret_peers import Reading
    from session_router.recordings import Recording

LOW, MIDDLE, HIGH = ModelName("low"), ModelName("middle"), ModelName("high")
SPECS = {
    LOW: ModelSpec(model="low", prices=Prices(input=0.1, output=0.4, cached_input=0.025)),
    MIDDLE: ModelSpec(model="middle", prices=Prices(input=0.4, output=1.6, cached_input=0.1)),
    HIGH: ModelSpec(model="high", prices=Prices(input=2.0, output=8.0, cached_input=0.5)),
}
TERMS = Terms(stake=0.2)
HEAD: dict[str, object] = {"role": "system", "content": "rules " * 1500}
GREETING: dict[str, object] = {"role": "assistant", "content": "How can I help?"}


def turn(*results: str, text: str = "do this") -> list[dict[str, object]]:
    """A user turn: the request, a tool call for each of `results`, and the answer."""
    messages: list[dict[str, object]] = [{"role": "user", "content": text}]
    for index, result in enumerate(results):
        call = {"id": f"call {index}", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}
        messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
        messages.append({"role": "tool", "tool_call_id": f"call {index}", "content": result})
    return [*messages, {"role": "assistant", "content": "done " * 50}]


def recorded(*messages: dict[str, object], name: str = "one", line: int = 1) -> Recording:
    return recording_from_openai({"session_id": name, "messages": [HEAD, *messages]}, line=line)


@dataclass
class PerTurn:
    """A scorer that says other chances in each turn."""

    chances: Sequence[Mapping[ModelName, float]]

    def score(self, question: Question, models: Mapping[ModelName, ModelSpec]) -> Mapping[ModelName, Need]:
        said = self.chances[question.turn % len(self.chances)]
        return {name: Need(p_success=said[name]) for name in models}

    async def ascore(self, question: Question, models: Mapping[ModelName, ModelSpec]) -> Mapping[ModelName, Need]:
        return self.score(question, models)


def costs_of(
    recording: Recording,
    *chances: Mapping[ModelName, float],
    specs: Mapping[ModelName, ModelSpec] = SPECS,
    pace: Pace | None = None,
) -> SessionCosts:
    router = Router({str(name): spec for name, spec in specs.items()}, policy=Policy(stake=TERMS.stake), scorer=PerTurn(chances))
    return SessionCosts(list(replay_session(recording, router, pace=pace)), router, ScorerChances(router))


def chances(low: float, middle: float, high: float) -> dict[ModelName, float]:
    return {LOW: low, MIDDLE: middle, HIGH: high}


def unsafe(costs: SessionCosts, routing: Routing) -> int:
    return Bill.of(costs.charges(routing(costs, TERMS)), TERMS).unsafe_switches


def never_failed(_line: int, _index: int) -> bool:
    return False


_CHANCE = st.floats(min_value=0.0, max_value=1.0)
_CHANCES = st.lists(st.builds(chances, _CHANCE, _CHANCE, _CHANCE), min_size=1, max_size=4)
_LOOPS = st.lists(st.text(alphabet="abc ", max_size=40), max_size=4)


@st.composite
def _sessions(draw: st.DrawFn) -> SessionCosts:
    turns = draw(st.lists(_LOOPS, min_size=1, max_size=5))
    greeting = draw(st.lists(st.just(GREETING), max_size=1))
    messages = [*greeting, *(message for results in turns for message in turn(*(result * 200 for result in results)))]
    return costs_of(recorded(*messages), *draw(_CHANCES))


class TestChoicesHeldForATurn:
    @given(costs=_sessions(), reading=st.sampled_from(list(READINGS.values())))
    def test_langchain_chooses_at_the_beginning_of_a_run_and_nowhere_else(self, costs: SessionCosts, reading: Reading) -> None:
        chosen = once_a_run(reading)(costs, TERMS)
        for index, (call, name) in enumerate(zip(costs.calls, chosen, strict=True)):
            first = index == 0 or costs.request(index - 1).transcript.turn != call.replayed.call.transcript.turn
            assert name == (reading(costs, index, TERMS) if first else chosen[index - 1])
        assert unsafe(costs, once_a_run(reading)) == 0

    @given(costs=_sessions(), reading=st.sampled_from(list(READINGS.values())))
    def test_litellm_does_the_same_wherever_a_human_opens_the_run(self, costs: SessionCosts, reading: Reading) -> None:
        assert user_turn(reading)(costs, TERMS) == once_a_run(reading)(costs, TERMS)

    def test_who_chooses_at_every_call_breaks_locks_in_a_session_in_which_they_break_none(self) -> None:
        # The dearer model is worth it for a short request only.
        costs = costs_of(recorded(*turn("long " * 40_000, "short")), chances(0.0, 0.5, 0.58))

        def at_every_call(costs: SessionCosts, terms: Terms) -> list[ModelName | None]:
            return [by_dollars(costs, index, terms) for index in range(len(costs.calls))]

        assert unsafe(costs, at_every_call) == 1
        assert unsafe(costs, once_a_run(by_dollars)) == unsafe(costs, user_turn(by_dollars)) == 0

    def test_neither_knows_what_is_cached(self) -> None:
        said = (chances(0.0, 0.5, 0.5), chances(0.0, 0.5, 0.99))
        recording = recorded(*turn("result " * 10_000), *turn())
        free = {name: replace(spec, prices=replace(_prices(spec), cached_input=0.0)) for name, spec in SPECS.items()}
        with_cache, without = costs_of(recording, *said, specs=free), costs_of(recording, *said, specs=_uncached())
        for rule in (once_a_run, user_turn):
            assert rule(by_dollars)(with_cache, TERMS) == rule(by_dollars)(without, TERMS)
        # Who does know stays for it.
        single_turn = baselines(SPECS)[SINGLE_TURN]
        assert single_turn(with_cache, TERMS) == [HIGH, HIGH, HIGH]
        assert single_turn(without, TERMS) == once_a_run(by_dollars)(without, TERMS) == [HIGH, HIGH, MIDDLE]


def _prices(spec: ModelSpec) -> Prices:
    assert spec.prices is not None
    return spec.prices


def _uncached() -> dict[ModelName, ModelSpec]:
    return {name: replace(spec, prices=replace(_prices(spec), cached_input=None)) for name, spec in SPECS.items()}


class TestReadings:
    @pytest.mark.parametrize(
        ("said", "named"),
        [
            (chances(0.9, 0.9, 0.9), LOW),
            (chances(0.49, 0.5, 0.9), MIDDLE),
            (chances(0.1, 0.1, 0.6), HIGH),
            (chances(0.4, 0.1, 0.1), HIGH),
        ],
    )
    def test_the_cheapest_that_more_likely_serves_well_than_not_else_the_dearest(self, said: dict[ModelName, float], named: str) -> None:
        assert cheapest_suited(costs_of(recorded(*turn()), said), 0, TERMS) == named

    @given(said=st.builds(chances, _CHANCE, _CHANCE, _CHANCE))
    def test_by_dollars_none_has_a_smaller_price_and_risk(self, said: dict[ModelName, float]) -> None:
        costs = costs_of(recorded(*turn()), said)
        total = {name: costs.expected(0, name, None) + TERMS.stake * (1 - said[name]) for name in SPECS}
        assert total[by_dollars(costs, 0, TERMS)] == min(total.values())


class TestLangchainRouter:
    def test_the_fast_model_serves_what_follows_a_tool_unless_it_failed(self) -> None:
        recording = recorded(*turn("fine", "Error: none", "fine"), *turn())
        failures = {
            (recording.line, index) for index, message in enumerate(turn("fine", "Error: none", "fine"), start=1) if "Error" in str(message)
        }
        costs = costs_of(recording, chances(0.5, 0.5, 0.5))
        routing = phased(HIGH, LOW, lambda line, index: (line, index) in failures)
        assert routing(costs, TERMS) == [HIGH, LOW, HIGH, LOW, HIGH]

    def test_it_breaks_a_lock_at_every_change_within_a_loop(self) -> None:
        costs = costs_of(recorded(*turn("one", "two"), *turn()), chances(0.5, 0.5, 0.5))
        assert unsafe(costs, phased(HIGH, LOW, never_failed)) == 1
        assert unsafe(costs, phased(HIGH, HIGH, never_failed)) == 0


class TestPlano:
    OPENING = b"opening"

    def binding(self, anchor: ModelName, *, tokens: int = 10_000, baseline: float = 0.0, **visits: Visit) -> Binding:
        seen = {anchor: Visit(at=0.0, tokens=tokens), **{ModelName(name): visit for name, visit in visits.items()}}
        return Binding(anchor=anchor, default=anchor, opening=self.OPENING, visits=seen, baseline=baseline)

    @given(
        names=st.lists(st.sampled_from(list(SPECS)), min_size=1, max_size=30),
        pauses=st.lists(st.floats(min_value=0.0, max_value=200.0), min_size=30, max_size=30),
        growth=st.lists(st.integers(min_value=0, max_value=20_000), min_size=30, max_size=30),
        share=st.floats(min_value=0.0, max_value=1.0),
    )
    def test_switches_never_cost_more_than_the_share_of_never_switching(
        self, names: list[ModelName], pauses: list[float], growth: list[int], share: float
    ) -> None:
        assert self.excess(Cap(specs=SPECS, share=share), share, names, pauses, growth) <= 1e-12

    def test_a_wider_cap_lets_them(self) -> None:
        names = [LOW, HIGH, LOW, HIGH]
        assert self.excess(Cap(specs=SPECS, share=100.0), 0.2, names, [1.0] * 4, [10_000] * 4) > 0
        assert self.excess(Cap(specs=SPECS), 0.2, names, [1.0] * 4, [10_000] * 4) <= 0

    def excess(self, cap: Cap, share: float, names: list[ModelName], pauses: list[float], growth: list[int]) -> float:
        """Add up, from the outside, what switches cost above `share` of staying; the most at any request."""
        binding: Binding | None = None
        now, context, baseline, spent, worst = 0.0, 0, 0.0, 0.0, float("-inf")
        read: dict[ModelName, tuple[float, int]] = {}
        for name, pause, more in zip(names, pauses, growth, strict=False):
            now += pause
            before, binding = binding, cap.follow(binding, name, opening=self.OPENING, now=now)
            assert binding.anchor in {name, before.anchor if before else name}
            if before is not None:
                baseline += context * (_prices(SPECS[binding.default]).cached_input or 0.0)
                if binding.anchor != before.anchor:
                    target, source = _prices(SPECS[binding.anchor]), _prices(SPECS[before.anchor])
                    at, warm = read.get(binding.anchor, (0.0, 0))
                    warm = min(warm, context) if now - at < 300 else 0
                    paid = (context - warm) * target.input + warm * (target.cached_input or 0.0)
                    spent += max(0.0, paid - context * (source.cached_input or 0.0))
                worst = max(worst, (spent - share * baseline) / 1e6)
            context += more
            read[binding.anchor] = (now, context)
            binding = binding.served(Visit(at=now, tokens=context))
        return worst

    def test_what_costs_nothing_is_free(self) -> None:
        # Reading afresh on one costs no more than reading cached on the other.
        moved = Cap(specs=SPECS, share=0.0).follow(self.binding(HIGH), LOW, opening=self.OPENING, now=1.0)
        assert (moved.anchor, moved.spent) == (LOW, 0.0)

    def test_the_way_back_within_the_time_to_live_is_paid_as_warm(self) -> None:
        cap, baseline = Cap(specs=SPECS), 0.04
        cold = cap.follow(self.binding(LOW, baseline=baseline), HIGH, opening=self.OPENING, now=1.0)
        warm = cap.follow(self.binding(LOW, baseline=baseline, high=Visit(at=0.0, tokens=10_000)), HIGH, opening=self.OPENING, now=1.0)
        gone = cap.follow(self.binding(LOW, baseline=baseline, high=Visit(at=-300.0, tokens=10_000)), HIGH, opening=self.OPENING, now=1.0)
        assert [one.anchor for one in (cold, warm, gone)] == [LOW, HIGH, LOW]
        assert warm.spent == pytest.approx(10_000 * (0.5 - 0.025) / 1e6)

    def test_a_cold_anchor_and_another_beginning_start_anew(self) -> None:
        cap, before = Cap(specs=SPECS), self.binding(LOW)
        stays = cap.follow(before, HIGH, opening=self.OPENING, now=299.0)
        cold = cap.follow(before, HIGH, opening=self.OPENING, now=300.0)
        rewritten = cap.follow(before, HIGH, opening=b"summary", now=1.0)
        assert [one.anchor for one in (stays, cold, rewritten)] == [LOW, HIGH, HIGH]
        assert [one.default for one in (stays, cold, rewritten)] == [LOW, HIGH, HIGH]
        assert rewritten.visits == {}

    def test_on_a_session_it_stays_where_following_would_cost_too_much(self) -> None:
        said = chances(0.9, 0.1, 0.1), chances(0.1, 0.1, 0.9)
        costs = costs_of(recorded(*turn(), *turn(), *turn()), *said)
        named = once_a_run(cheapest_suited)(costs, TERMS)
        assert named == [HIGH, LOW, HIGH]
        assert capped(cheapest_suited, Cap(specs=SPECS))(costs, TERMS) == [HIGH, LOW, LOW]
        slowly = costs_of(recorded(*turn(), *turn(), *turn()), *said, pace=Pace(turn_seconds=400.0))
        assert capped(cheapest_suited, Cap(specs=SPECS))(slowly, TERMS) == named


class TestBills:
    @given(costs=_sessions())
    def test_who_keeps_the_locks_pays_what_the_accounting_says(self, costs: SessionCosts) -> None:
        chosen = once_a_run(by_dollars)(costs, TERMS)
        mine, theirs = bill_of(costs, chosen, TERMS), Bill.of(costs.charges(chosen), TERMS)
        assert mine.total == pytest.approx(theirs.total)

    def test_who_leaves_a_segment_is_charged_for_each_of_its_models(self) -> None:
        costs = costs_of(recorded(*turn("one", "two", "three")), chances(0.2, 0.5, 1.0))
        chosen = phased(HIGH, LOW, never_failed)(costs, TERMS)
        assert chosen == [HIGH, LOW, LOW, LOW]
        assert bill_of(costs, chosen, TERMS).risk == pytest.approx(TERMS.stake * 0.8 * 3 / 4)
        assert Bill.of(costs.charges(chosen), TERMS).risk == 0.0  # by the first model alone it would be free of risk


def made_up(tasks: int = 24) -> Source:
    """Tasks in two sessions each, of which the dear model serves all and the cheap one every second."""
    sessions: list[RecordedSession] = []
    for number in range(tasks):
        outcomes = {LOW: float(number % 2), MIDDLE: 0.5, HIGH: 1.0}
        for again in range(2):
            recording = recorded(*turn("fine", "fine"), *turn(), *turn("fine"), name=f"{number}-{again}", line=2 * number + again + 1)
            sessions.append(
                RecordedSession(
                    recording=recording, part="made up", task=f"task {number}", outcomes=outcomes, measured=frozenset({LOW, HIGH})
                )
            )
    return Source(name="made_up", models=SPECS, sessions=sessions)


class TestOracle:
    SOURCE = made_up(4000)

    def test_the_stated_share_of_outcomes_is_turned_round(self) -> None:
        sessions = self.SOURCE.sessions[::2]
        turned = Counter(heard_outcome(session, name, 0) != session.outcomes[name] for session in sessions for name in (LOW, HIGH))
        assert turned[True] / turned.total() == pytest.approx(NOISE, abs=0.01)

    def test_all_sessions_and_calls_of_a_task_hear_the_same_and_draws_differ(self) -> None:
        sessions = self.SOURCE.sessions
        heard = [[heard_outcome(one, LOW, draw) for one in sessions] for draw in (0, 1)]
        assert all(one[::2] == one[1::2] for one in heard)
        assert heard[0] != heard[1]

    def test_a_calibrated_chance_is_the_share_of_successes_among_those_who_hear_it(self) -> None:
        calibrated, raw = Oracle(draw=0, rates=base_rates(self.SOURCE)), Oracle(draw=0, rates=None)
        for name in (LOW, HIGH):
            groups: dict[float, list[tuple[float, float]]] = {}
            for session in self.SOURCE.sessions[::2]:
                calibrated.session = raw.session = session
                groups.setdefault(raw.says(name), []).append((calibrated.says(name), session.outcomes[name]))
            assert set(groups) == {NOISE, 1 - NOISE}
            for group in groups.values():
                assert mean(told for told, _ in group) == pytest.approx(mean(true for _, true in group), abs=0.02)
        # The dear model always succeeds. Who says what it hears, all the same, tells its failures.
        assert mean(true for _, true in groups[NOISE]) > 0.9 > NOISE

    def test_rates_come_from_the_other_fold(self) -> None:
        source = made_up()
        doctored = replace(
            source, sessions=[replace(one, outcomes={**one.outcomes, LOW: 0.0}) if one.fold == 0 else one for one in source.sessions]
        )
        before, after = base_rates(source), base_rates(doctored)
        assert after[0, LOW] == before[0, LOW]
        assert after[1, LOW] < before[1, LOW]

    def test_what_was_not_recorded_is_told_without_noise(self) -> None:
        oracle = Oracle(draw=0, rates=None)
        for session in self.SOURCE.sessions[:100]:
            oracle.session = session
            assert oracle.says(MIDDLE) == 0.5


class TestPlaying:
    @pytest.mark.parametrize("need", [ORACLE, CALIBRATED, SCORER])
    def test_none_that_keeps_the_locks_is_below_the_optimum_and_ours_keeps_them(self, need: str) -> None:
        played = play(made_up(), 0.2, need, draws=2)
        assert played.draws == (1 if need == SCORER else 2)
        for key, bill in played.bills.items():
            assert bill.unsafe_switches or played.ratio(key) >= 1 - 1e-9, key
        assert played.bills[OURS].unsafe_switches == played.bills[UNLEARNED].unsafe_switches == 0
        assert all(played.bills[LANGCHAIN_ROUTER, variant].unsafe_switches for variant in played.variants[LANGCHAIN_ROUTER])
        assert {*baselines(SPECS), LANGCHAIN} - {OURS[0]} <= set(played.variants)

    def test_totals_by_task_add_up_to_the_bills(self) -> None:
        played = play(made_up(), 0.2, ORACLE)
        assert set(played.totals) == {session.task for session in made_up().sessions}
        for key, bill in played.bills.items():
            assert sum(of_task[key] for of_task in played.totals.values()) == pytest.approx(bill.total)
            assert played.ratios_by_part(key) == {"made up": pytest.approx(played.ratio(key))}

    def test_it_plays_the_same_twice(self) -> None:
        first, second = play(made_up(), 0.2, ORACLE), play(made_up(), 0.2, ORACLE)
        assert first.bills == second.bills
        assert first.intervals(OPTIMUM) == second.intervals(OPTIMUM)

    def test_a_figure_is_met_if_no_peer_that_keeps_the_locks_is_lower(self, capsys: pytest.CaptureFixture[str]) -> None:
        played = play(made_up(), 0.2, ORACLE)
        best = played.best_of_all()
        played.bills[OURS] = played.bills[best]
        print_ratio(played, 0.2)
        dearest = max(played.variants, key=lambda name: played.ratio(played.best(name)))
        played.bills[OURS] = played.bills[played.best(dearest)]
        print_ratio(played, 0.2)
        tied, beaten = map(json.loads, capsys.readouterr().out.splitlines())
        assert tied["figure"] == "ratio_made_up_0.2"
        assert (tied["met"], beaten["met"]) == (True, False)
        assert "not the lowest" in beaten["note"]
        assert "not the lowest" not in tied["note"]
        assert set(tied["peer"]) == set(peers(SPECS, never_failed))

    def test_a_figure_says_how_far_it_tells_routings_apart(self, capsys: pytest.CaptureFixture[str]) -> None:
        played = play(made_up(), 0.2, ORACLE)
        for name, variants in played.variants.items():
            for variant in variants:  # no two alike, and none like ours
                played.bills[name, variant] = replace(played.bills[OURS], risk=played.bills[OURS].risk + 1 + len(name))
        rules = len(played.variants)
        notes: list[list[str]] = []
        for alike, switches in ((0, 0), (2, 0), (rules, 3)):
            for name in list(played.variants)[:alike]:
                played.bills[played.best(name)] = played.bills[OURS]
            played.bills[OPTIMUM] = replace(played.bills[OPTIMUM], switches=switches)
            assert len(played.tied()) == alike
            print_ratio(played, 0.2)
            notes.append(json.loads(capsys.readouterr().out)["note"].split("; "))
        still, moving = "the optimum never switches here: only the first choice is tried", "the optimum switches 3 times"
        assert [f"tied with {alike} of the {rules} rules" in note for alike, note in zip(("none", 2, rules), notes, strict=True)] == [
            True
        ] * 3
        assert [(still in note, moving in note) for note in notes] == [(True, False), (True, False), (False, True)]

    def test_the_sum_of_rows_counts_lower_tied_and_higher_and_says_why_it_is_higher(self, capsys: pytest.CaptureFixture[str]) -> None:
        rows: dict[str, Played] = {}
        for name, need, more in (("lower", ORACLE, -1.0), ("tied", ORACLE, 0.0), ("raw", ORACLE, 1.0), ("probable", CALIBRATED, 1.0)):
            played = rows[name] = play(made_up(), 0.2, need)
            best = played.best_of_all()
            played.bills[OURS] = replace(played.bills[best], risk=played.bills[best].risk + more)
        print_rows({name: rows[name] for name in ("lower", "tied")})
        print_rows(rows)
        met, unmet = map(json.loads, capsys.readouterr().out.splitlines())
        assert (met["figure"], met["value"], met["n"], met["met"]) == (HIGHER, 0, 2, True)
        assert (unmet["value"], unmet["n"], unmet["met"]) == (2, 4, False)
        assert unmet["note"].startswith("lower than every rule that keeps the locks on 1 rows, tied with the lowest on 1, higher on 2; ")
        raw, probable = (unmet["note"].partition(f"{name}: ")[2] for name in ("raw", "probable"))
        assert "is no probability: it heard a chance of" in raw.partition("probable: ")[0]
        assert "is no probability" not in probable
        assert "ours paid +0.00 USD for its calls and risked +1.00" in probable
        assert "ours less it +" in probable

    def test_every_figure_has_a_name_of_its_own(self) -> None:
        names = figure_names()
        assert len(set(names)) == len(names)


class TestSources:
    def test_a_sample_is_whole_tasks_and_always_the_same(self) -> None:
        source = made_up()
        sample = source.sampled(5)
        assert Counter(session.task for session in sample.sessions) == dict.fromkeys({session.task for session in sample.sessions}, 2)
        assert len(sample.sessions) == 10
        assert sample == source.sampled(5)
        assert set(map(id, sample.sessions)) <= set(map(id, source.sampled(9).sessions))

    def test_both_folds_have_tasks_and_no_task_is_in_both(self) -> None:
        folds = {session.task: {other.fold for other in made_up().sessions if other.task == session.task} for session in made_up().sessions}
        assert sorted({fold for of_task in folds.values() for fold in of_task}) == [0, 1]
        assert all(len(of_task) == 1 for of_task in folds.values())
