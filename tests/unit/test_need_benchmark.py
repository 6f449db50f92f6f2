"""The statistics of the need benchmark, and that nobody is told what they are asked about."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import partial
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from benchmarks import _need_sessions
from benchmarks._need_attacks import Answer, HillClimb, Pair, Place
from benchmarks._need_certified import (
    NOWHERE,
    Let,
    certified,
    print_refusals,
    share_under_served,
    split_and_judged,
    uncertified,
    violations,
)
from benchmarks._need_discrimination import Told, cross_fitted
from benchmarks._need_families import CHEAP, STRONG, Family, joined, without_texts_of
from benchmarks._need_frontier import Outcomes, shares
from benchmarks._need_page import page
from benchmarks._need_peers import LENGTH, OURS, Said, ours, ranked_by
from benchmarks._need_sessions import Rates, asked_in, fitted_for, task_of
from benchmarks._need_statistics import areas, calibration_errors, draws_of, exact_interval, interval_of
from benchmarks._need_transfer import transfers
from benchmarks._regret_sources import RecordedSession, Source
from session_router import ModelSpec, Prices
from session_router.core.model import ModelName
from session_router.core.need import Alarm, Need, Question
from session_router.embedders.hashing import HashEmbedder
from session_router.fitting import Grade, Graded, Method
from session_router.fitting.calibration import reliability_of
from session_router.fitting.measures import area_under_curve, calibration_error
from session_router.fitting.table import table_of
from session_router.recordings import recording_from_openai

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from benchmarks._need_attacks import Asks

LOW, HIGH = ModelName("low"), ModelName("high")
MODELS = {
    LOW: ModelSpec(model="low", prices=Prices(input=0.5, output=0.5)),
    HIGH: ModelSpec(model="high", prices=Prices(input=10, output=30)),
}


def family_of(rows: Sequence[tuple[str, bool, bool]], *, parts: Sequence[str] = (), name: str = "made") -> Family:
    """Questions with the outcome of the cheap and of the strong model."""
    graded = [
        Graded(
            question=Question(text=text, turn=1),
            grades={"cheap": Grade(score=float(cheap), dollars=0.001), "strong": Grade(score=float(strong), dollars=0.01)},
        )
        for text, cheap, strong in rows
    ]
    return Family(
        name=name,
        texts=tuple(text for text, _, _ in rows),
        keys=tuple(text for text, _, _ in rows),
        parts=np.array(parts or ["part"] * len(rows)),
        table=table_of(graded, HashEmbedder(), seed=0, prices={}),
    )


def made_family(count: int, *, seed: int = 0, name: str = "made", parts: Sequence[str] = ("part",)) -> Family:
    """Questions of which the long ones are hard for the cheap model."""
    noise = np.random.default_rng(seed)
    rows: list[tuple[str, bool, bool]] = []
    for number in range(count):
        is_hard = bool(noise.random() < 0.5)
        text = f"{name} question {number} " + ("prove the theorem and derive it " * 3 if is_hard else "say hello")
        rows.append((text, bool(noise.random() < (0.3 if is_hard else 0.9)), bool(noise.random() < 0.9)))
    return family_of(rows, parts=[parts[number % len(parts)] for number in range(count)], name=name)


scored_rows = st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.integers(0, 3)), min_size=1, max_size=25)


@given(scored_rows)
def test_an_area_with_weights_is_that_of_as_many_copies(rows: list[tuple[int, bool, int]]) -> None:
    scores, labels, copies = (np.array(column, dtype=np.float64) for column in zip(*rows, strict=True))
    found = areas(scores, labels, copies[None, :])[0]
    expected = area_under_curve(np.repeat(scores, copies.astype(int)), np.repeat(labels, copies.astype(int)))
    assert np.isnan(found) if expected is None else found == pytest.approx(expected)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=20), st.integers(0, 5))
def test_a_group_is_drawn_as_a_whole(named: list[int], seed: int) -> None:
    groups = np.unique(named, return_inverse=True)[1]
    draws = draws_of(groups, resamples=7, seed=seed)
    _, first = np.unique(groups, return_index=True)
    assert (draws == draws[:, first][:, groups]).all()
    assert (draws[:, first].sum(axis=1) == len(first)).all()
    assert (draws == draws_of(groups, resamples=7, seed=seed)).all()


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=40, max_size=80))
def test_a_calibration_error_is_the_librarys_when_each_row_is_drawn_once(rows: list[tuple[float, bool]]) -> None:
    chances, came = (np.array(column, dtype=np.float64) for column in zip(*rows, strict=True))
    reliability, bins = reliability_of(chances, came)
    places = np.searchsorted(np.array(reliability.edges), chances, side="left")
    assert calibration_errors(chances, came, places, np.ones((1, len(rows))))[0] == pytest.approx(calibration_error(bins))


def test_intervals() -> None:
    assert interval_of(np.append(np.arange(101.0), np.nan)) == pytest.approx((2.5, 97.5))
    low, high = exact_interval(3, 200)
    assert low < 3 / 200 < high
    assert exact_interval(0, 200).low == 0


def outcomes_of(rows: Sequence[tuple[bool, bool]], weights: Sequence[float] | None = None) -> Outcomes:
    served = np.array(rows, dtype=np.float64).T
    dollars = np.stack([np.full(len(rows), 0.001), np.linspace(0.01, 0.02, len(rows))])
    return Outcomes(served=served, dollars=dollars, weights=np.ones(len(rows)) if weights is None else np.array(weights))


pairs = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=20)


@given(pairs, st.data())
def test_no_ranking_is_above_the_oracle(rows: list[tuple[bool, bool]], data: st.DataObject) -> None:
    outcomes = outcomes_of(rows)
    ranks = np.array(data.draw(st.lists(st.integers(0, 3), min_size=len(rows), max_size=len(rows))), dtype=np.float64)
    own, best = outcomes.curve(ranks), outcomes.curve(outcomes.oracle)
    for curve in (own, best):
        assert curve.accuracy[[0, -1]] == pytest.approx(outcomes.served.mean(axis=1))
        assert curve.dollars[[0, -1]] == pytest.approx(outcomes.dollars.mean(axis=1))
    assert all(best.at(float(paid)) >= reached - 1e-9 for paid, reached in zip(own.dollars, own.accuracy, strict=True))
    assert own.reach(float(own.accuracy[-1])) >= best.reach(float(own.accuracy[-1])) - 1e-9


@given(pairs, st.data())
def test_the_least_dollars_are_the_first_at_which_the_accuracy_is_there(rows: list[tuple[bool, bool]], data: st.DataObject) -> None:
    outcomes = outcomes_of(rows)
    curve = outcomes.curve(np.array(data.draw(st.permutations(range(len(rows)))), dtype=np.float64))
    wanted = float(curve.accuracy[-1])
    paid = curve.reach(wanted)
    assert curve.at(paid) == pytest.approx(max(wanted, curve.accuracy[0]))
    assert all(reached < wanted for cost, reached in zip(curve.dollars, curve.accuracy, strict=True) if cost < paid - 1e-9)


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=20))
def test_a_weighted_curve_is_that_of_as_many_copies(rows: list[tuple[bool, bool, int, int]]) -> None:
    copies = np.array([row[3] for row in rows])
    assume(copies.sum() > 0)
    outcomes, ranks = outcomes_of([row[:2] for row in rows], copies.tolist()), np.array([float(row[2]) for row in rows])
    copied = Outcomes(
        served=np.repeat(outcomes.served, copies, axis=1),
        dollars=np.repeat(outcomes.dollars, copies, axis=1),
        weights=np.ones(copies.sum()),
    )
    one, other = outcomes.curve(ranks), copied.curve(np.repeat(ranks, copies))
    for dollars in np.linspace(one.dollars[0], one.dollars[-1], 5):
        assert one.at(float(dollars)) == pytest.approx(other.at(float(dollars)))


def test_the_oracle_has_all_of_the_gap_and_lots_save_nothing() -> None:
    outcomes = outcomes_of([(True, True), (False, True), (False, True), (True, True), (True, False), (False, False)])
    assert shares(outcomes.oracle, outcomes) == pytest.approx((1.0, 1.0))
    saved, gained = shares(np.zeros(6), outcomes)
    assert saved == pytest.approx(0)
    assert 0 < gained < 1


chances_and_failures = st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=1, max_size=40)


@given(chances_and_failures, st.sampled_from([0.0, 0.1, 0.3]))
def test_the_broken_variant_takes_the_largest_region_that_looks_right(rows: list[tuple[int, bool]], alpha: float) -> None:
    chances, bad = np.array([row[0] / 8 for row in rows]), np.array([row[1] for row in rows])
    fit = [least for least in set(chances.tolist()) if bad[chances >= least].mean() <= alpha]
    assert uncertified(chances, bad, alpha=alpha) == min(fit, default=NOWHERE)


def test_certificates_keep_alpha_and_without_a_bound_it_is_broken() -> None:
    noise = np.random.default_rng(1)
    chances = noise.random(4_000)
    bad = noise.random(4_000) < 0.25 * (1 - chances)
    alpha = 0.1
    kept, broken = (
        split_and_judged(chances, bad, partial(least_of, alpha=alpha), held=600, splits=60, seed=2) for least_of in (certified, uncertified)
    )
    assert violations(kept, alpha=alpha) <= 3
    assert any(one.downgraded > 0.1 for one in kept)
    assert violations(broken, alpha=alpha) > 15
    assert share_under_served(NOWHERE, chances, bad) == 0


@dataclass
class Spy:
    """A way that keeps who was fitted to when who was asked about."""

    seen: list[tuple[set[int], set[int]]] = field(default_factory=list[tuple[set[int], set[int]]])

    def __call__(self, family: Family, fitted: NDArray[np.intp], asked: NDArray[np.intp]) -> Said:
        assert len(family.texts) == len(fitted) + len(asked)
        self.seen.append((set(fitted.tolist()), set(asked.tolist())))
        return Said(ranks=np.zeros((len(asked), 2)), fails=np.zeros(len(asked)))


def test_a_gate_that_lets_anything_through_misses_its_target(capsys: pytest.CaptureFixture[str]) -> None:
    print_refusals(
        "here", {"easy": Let(own=0.5, blind=0.05), "hard": Let(own=0.0, blind=0.3, foreign=0.2), "other": Let(own=0.0, blind=0.2)}
    )
    rows = {row["figure"]: row for row in map(json.loads, capsys.readouterr().out.splitlines())}
    found = {name: (row["value"], row["met"], row["n"]) for name, row in rows.items()}
    assert found == {
        "gate_downgrades_here": (0.5, False, 3),
        "gate_downgrades_here_blind_breaks_alpha": (0.0, True, 2),
        "gate_downgrades_here_foreign_certificate": (0.2, False, 1),
    }
    assert "easy 50.0% (blind 0.050 under-served)" in rows["gate_downgrades_here"]["note"]


def test_nobody_is_fitted_to_a_question_like_the_one_they_are_asked_about() -> None:
    rows = [(f"question {number % 30}", True, True) for number in range(60)]
    family, spy = family_of(rows), Spy()
    cross_fitted(family, {"spy": spy})
    assert set().union(*(asked for _, asked in spy.seen)) == set(range(60))
    for fitted, asked in spy.seen:
        assert not {family.keys[place] for place in fitted} & {family.keys[place] for place in asked}


def bfcl_and_others() -> list[Family]:
    bfcl = ("bfcl-v2/simple", "bfcl-v2/parallel_function", "bfcl-v2/rest", "bfcl-v2/java", "bfcl-v2/relevance")
    mint = ("mint/reasoning/gsm8k", "mint/reasoning/mmlu", "mint/code_generation/mbpp", "mint/decision_making/alfworld")
    return [
        made_family(20, name="mmlu_gsm8k", parts=("gsm8k", "mmlu_law")),
        made_family(20, name="bfcl", parts=bfcl),
        made_family(20, name="mint", parts=mint),
        made_family(20, name="mtbench", parts=("mt-bench/math",)),
    ]


def test_transfers_share_no_text_between_what_is_fitted_to_and_what_is_asked_about() -> None:
    first, *rest = bfcl_and_others()
    shared = joined(first, rest[1].only(np.arange(3), "some"))
    found = list(transfers([shared, *rest]))
    assert len({one.name for one in found}) == len(found) == 15
    for one in found:
        assert len(one.fitted)
        assert len(one.asked)
        assert not {one.family.texts[place] for place in one.fitted} & {one.family.texts[place] for place in one.asked}


def test_parts_and_joins_keep_rows_together() -> None:
    family, other = made_family(12, parts=("a", "b")), made_family(6, seed=1, name="other", parts=("c",))
    both = joined(family, other)
    only = both.of_parts(["b", "c"], "some")
    for part in (family, other, only):
        for place, text in enumerate(part.texts):
            there = both.texts.index(text)
            assert (both.table.vectors[there] == part.table.vectors[place]).all()
            assert (both.table.served[:, there] == part.table.served[:, place]).all()
            assert both.table.questions[there] == part.table.questions[place]
    assert without_texts_of(both, range(18), other.texts).tolist() == list(range(12))
    assert family_of([("same", True, True), ("same", False, True), ("else", True, True)]).first_of_each().tolist() == [0, 2]


def test_labels() -> None:
    family = family_of([("a", True, True), ("b", True, False), ("c", False, True), ("d", False, False)])
    assert family.labels.tolist() == [[0, 0], [0, 0], [1, 1], [1, 0]]
    assert family.table.served[CHEAP].tolist() == [1, 1, 0, 0]
    assert family.table.served[STRONG].tolist() == [1, 0, 1, 0]


def test_ours_and_length_tell_hard_questions_that_are_long() -> None:
    family = made_family(300)
    told = cross_fitted(family, {OURS: ours(Method.LOGISTIC), LENGTH: ranked_by(lambda text: float(len(text)))})
    for said in told.said.values():
        area = areas(said.ranks[:, 0], family.labels[:, 0], np.ones((1, 300)))[0]
        assert area > 0.7
        assert ((said.fails >= 0) & (said.fails <= 1)).all()
        assert abs(said.fails.mean() - family.labels[:, 0].mean()) < 0.1


class Tags(HTMLParser):
    """What a page is made of."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


def test_the_page_needs_nothing_else_and_quotes_names() -> None:
    family = made_family(30, name="<script>alert(1)</script>")
    ranks = np.linspace(0, 1, 60).reshape(30, 2)
    told = Told(family=family, said={OURS: Said(ranks=ranks, fails=ranks[:, 0]), "<b>": Said(ranks=-ranks, fails=ranks[:, 0])})
    written = page([told])
    read = Tags()
    read.feed(written)
    assert "svg" in read.tags
    assert not read.tags & {"script", "b", "img", "link", "iframe"}
    assert not read.attributes & {"src", "href"}
    assert written == page([told])


@dataclass(frozen=True)
class Lured:
    """A scorer that thinks questions with a certain word hard, and may say that it noticed."""

    word: str
    alarmed: bool = False

    def score(self, question: Question, models: Mapping[ModelName, ModelSpec]) -> Mapping[ModelName, Need]:
        is_hard = self.word in question.text.split()
        alarm = Alarm(window="all", jump=1.0, limit=0.0) if is_hard and self.alarmed else None
        return {name: Need(p_success=0.9 if name == HIGH or not is_hard else 0.1, alarm=alarm) for name in models}

    async def ascore(self, question: Question, models: Mapping[ModelName, ModelSpec]) -> Mapping[ModelName, Need]:
        return self.score(question, models)


@pytest.mark.parametrize("place", Place)
def test_the_climb_finds_a_word_that_upgrades_and_never_asks_too_often(place: Place) -> None:
    pair = Pair(cheap=LOW, strong=HIGH, models=MODELS)
    asked: list[str] = []

    def counted(asks: Asks) -> Asks:
        def count(text: str) -> Answer:
            asked.append(text)
            return asks(text)

        return count

    climb = HillClimb(place=place, words=8, queries=300, vocabulary=("fish", "and", "chips"))
    assert climb.run("how are you", counted(pair.asks(Lured("prove"))), 0.5, seed=0)
    assert "prove" in asked[-1].split()
    asked.clear()
    assert not climb.run("how are you", counted(pair.asks(Lured("unheard-of"))), 0.5, seed=0)
    assert len(asked) == 300
    assert pair.asks(Lured("prove", alarmed=True))("prove it") == Answer(pytest.approx(0.8), alarm=True)


def session(line: int, task: str, text: str, outcomes: Mapping[ModelName, float]) -> RecordedSession:
    messages = [{"role": "user", "content": text}, {"role": "assistant", "content": "done"}]
    recording = recording_from_openai({"session_id": str(line), "messages": messages}, line=line)
    return RecordedSession(recording=recording, part="part", task=task, outcomes=outcomes, measured=frozenset(outcomes))


def test_a_scorer_is_not_fitted_to_the_tasks_that_it_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = [(f"{part}/{number}", f"{part} wants {number}") for number in range(80) for part in ("retail", "telecom")]
    sessions = [session(line, task, text, {LOW: 1.0, HIGH: 0.0}) for line, (task, text) in enumerate(tasks, start=1)]
    source = Source(name="made", models=MODELS, sessions=sessions)
    seen: list[Sequence[Graded]] = []
    fit = _need_sessions.fit_outcomes

    def spy(graded: Sequence[Graded], *given: object, **settings: object) -> object:
        seen.append(graded)
        return fit(graded, *given, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(_need_sessions, "fit_outcomes", spy)
    asked = asked_in(source)
    assert [question.text for question in asked["1"]] == ["retail wants 0"]
    for fold in (0, 1):
        fitted_for(source, fold, asked)
        here = {task_of(one) for one in sessions if one.fold == fold}
        known = {one.question.text.split()[-1] for one in seen[-1]}
        assert known
        assert not known & here


def test_base_rates_are_those_of_the_other_fold() -> None:
    rates = {(0, LOW): 0.25, (0, HIGH): 0.75, (1, LOW): 0.5, (1, HIGH): 0.5}
    said = Rates(rates, 0).score(Question(text="anything"), MODELS)
    assert {name: need.p_success for name, need in said.items()} == {LOW: 0.25, HIGH: 0.75}
