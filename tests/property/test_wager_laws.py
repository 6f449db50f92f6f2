"""The certificate of a stratum, over ten thousand histories at once: certified in vain in at most 5 % of them, whenever one looks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_router.core.risk import upper_bound
from session_router.core.wager import HARM, PRIOR_AUDITS, PRIOR_SHARE, SCORE_BINS, SCORE_EDGES, Audit, Stratum, Target, Wager, score_bin
from session_router.errors import ConfigurationError

if TYPE_CHECKING:
    from numpy.typing import NDArray

RUNS = 10_000
PERCENT = Target(wrong=0.01, strata=1)
AUDITS = st.lists(st.builds(Audit, wrong=st.sampled_from([0.0, 0.0, 0.0, 0.25, 1.0]), earlier=st.integers(0, 3)), max_size=60)
TARGETS = st.builds(
    Target,
    wrong=st.sampled_from([0.001, 0.01, 0.1, 0.5, 0.9]),
    strata=st.integers(1, 40),
    judge_error=st.sampled_from([0.0, 0.0005, 0.005]),
)


@dataclass
class Many:
    """The same arithmetic as `Wager.observed`, for many histories at once."""

    target: Target
    runs: int = RUNS

    def __post_init__(self) -> None:
        self.entries, self.wrong, self.evidence, self.harm = (np.zeros(self.runs) for _ in range(4))
        self.certified, self.closed = (np.zeros(self.runs, dtype=bool) for _ in range(2))

    def observe(self, wrong: NDArray[Any], earlier: NDArray[Any]) -> None:
        delta, first, weight = self.target.judged_wrong, earlier == 0, 1 / (1 + earlier)
        prior = PRIOR_AUDITS / delta
        expected = (prior * PRIOR_SHARE * delta + self.wrong) / (prior + self.entries)
        stake = np.maximum(0, (delta - expected) / (delta * (1 - delta)))
        self.evidence += np.log1p(stake * np.where(first, delta - wrong, -(1 - delta) * wrong * weight))
        self.harm = np.maximum(0, self.harm + np.log1p(min((HARM - 1) / (1 - delta), 0.5 / delta) * weight * (wrong - delta)))
        self.entries += first
        self.wrong += np.where(first, wrong, 0)
        self.certified |= self.evidence >= self.target.needed
        self.closed |= self.harm >= self.target.alarm


def first_audits(target: Target, share: float, *, audits: int, seed: int, runs: int = RUNS) -> Many:
    """Audits of as many entries, a share of which is wrong."""
    random, many, zero = np.random.default_rng(seed), Many(target, runs), np.zeros(runs)
    for _ in range(audits):
        many.observe((random.random(runs) < share).astype(float), zero)
    return many


def clustered(target: Target, share: float, *, audits: int, seed: int, weighted: bool, spread: float = 0.0) -> Many:
    """Audits of which 19 in 20 are of the entry before: of entries of which each is either always right or nearly always wrong."""
    random, many = np.random.default_rng(seed), Many(target)
    chance, earlier = np.zeros(RUNS), np.zeros(RUNS)
    for number in range(audits):
        new = (random.random(RUNS) < 0.05) | (number == 0)
        chance = np.where(new, (random.random(RUNS) < share / (1 - spread)) * (1 - spread), chance)
        earlier = np.where(new, 0, earlier + 1)
        many.observe((random.random(RUNS) < chance).astype(float), earlier if weighted else np.zeros(RUNS))
    return many


def peeking(share: float, *, audits: int, seed: int) -> float:
    """How often the Clopper-Pearson bound of 95 % falls below 1 % at some time, where one looks after each audit."""
    random, failures, certified = np.random.default_rng(seed), np.zeros(RUNS, dtype=int), np.zeros(RUNS, dtype=bool)
    enough: list[int] = []
    n = 1
    while not enough or enough[-1] < audits:
        while upper_bound(len(enough), n, delta=0.05) > 0.01:
            n += 1
        enough.append(n)
    table = np.array(enough)
    for number in range(1, audits + 1):
        failures += random.random(RUNS) < share
        certified |= number >= table[np.minimum(failures, len(table) - 1)]
    return float(certified.mean())


@given(target=TARGETS, audits=AUDITS)
def test_the_simulation_is_the_wager(target: Target, audits: list[Audit]) -> None:
    if target.judged_wrong <= 0:
        return
    wager, many = Wager(target=target), Many(target, 1)
    for audit in audits:
        wager = wager.observed(audit)
        many.observe(np.array([audit.wrong]), np.array([audit.earlier]))
    assert wager.evidence == pytest.approx(many.evidence[0], abs=1e-9)
    assert wager.harm == pytest.approx(many.harm[0], abs=1e-9)
    assert (wager.entries, wager.wrong) == (many.entries[0], many.wrong[0])
    assert wager.certified == many.certified[0]
    assert wager.closed == many.closed[0]


class TestMistakes:
    @pytest.mark.parametrize("share", [0.01, 0.011, 0.02])
    def test_a_stratum_above_the_target_is_certified_in_at_most_5_percent_of_histories(self, share: float) -> None:
        many = first_audits(PERCENT, share, audits=3_000, seed=1)
        assert many.certified.mean() <= 0.05
        # Not because nothing is ever certified: at the target the bound is nearly reached.
        assert share > 0.01 or many.certified.mean() > 0.02

    def test_a_bound_for_one_look_is_wrong_more_often_when_one_looks_all_the_time(self) -> None:
        assert peeking(0.0101, audits=3_000, seed=2) > 0.1

    @pytest.mark.parametrize("spread", [0.0, 0.5])
    def test_audits_of_one_entry_do_not_count_as_many(self, spread: float) -> None:
        honest = clustered(PERCENT, 0.0101, audits=4_000, seed=3, weighted=True, spread=spread)
        assert honest.certified.mean() <= 0.05
        broken = clustered(PERCENT, 0.0101, audits=4_000, seed=3, weighted=False, spread=spread)
        assert broken.certified.mean() > 0.3

    def test_the_error_of_the_judge_is_subtracted(self) -> None:
        """The judge passes three wrong answers in ten."""
        wrong, passed = 0.0101, 0.3
        honest = Target(wrong=0.01, strata=1, judge_error=wrong * passed)
        assert first_audits(honest, wrong * (1 - passed), audits=4_000, seed=4).certified.mean() <= 0.05
        assert first_audits(PERCENT, wrong * (1 - passed), audits=4_000, seed=4).certified.mean() > 0.15

    def test_all_strata_together_are_wrong_in_at_most_5_percent(self) -> None:
        strata, histories = 20, 1_000
        for declared, broken in ((strata, False), (1, True)):
            many = first_audits(Target(wrong=0.01, strata=declared), 0.0101, audits=2_000, seed=5, runs=strata * histories)
            any_certified = float(many.certified.reshape(histories, strata).any(axis=1).mean())
            assert (any_certified > 0.3) is broken
            assert (any_certified <= 0.05) is not broken

    @given(target=TARGETS, audits=AUDITS)
    def test_later_audits_of_an_entry_never_raise_the_capital(self, target: Target, audits: list[Audit]) -> None:
        wager = Wager(target=target)
        for audit in audits:
            after = wager.observed(audit)
            if audit.earlier:
                assert after.evidence <= wager.evidence
            wager = after

    def test_where_the_judge_is_worse_than_the_target_nothing_is_certified(self) -> None:
        wager = Wager(target=Target(wrong=0.01, strata=1, judge_error=0.01))
        for _ in range(2_000):
            wager = wager.observed(Audit(wrong=0.0))
        assert (wager.certified, wager.evidence, wager.audits) == (False, 0.0, 2_000)


class TestPower:
    @pytest.mark.parametrize(("wrong", "promised"), [(0.01, 300), (0.001, 3_000)])
    def test_clean_audits_certify_after_the_promised_number(self, wrong: float, promised: int) -> None:
        wager = Wager(target=Target(wrong=wrong, strata=1))
        while not wager.certified:
            wager = wager.observed(Audit(wrong=0.0))
        # Nobody can do it with fewer: then the claim has a likelihood of 5 % still.
        assert math.log(0.05) / math.log1p(-wrong) <= wager.audits <= 1.1 * promised

    @pytest.mark.parametrize(("share", "audits"), [(0.001, 1_500), (0.003, 3_500)])
    def test_a_stratum_well_below_the_target_is_certified(self, share: float, audits: int) -> None:
        many = first_audits(PERCENT, share, audits=audits, seed=6, runs=1_000)
        assert many.certified.mean() > 0.9
        assert many.closed.mean() < 0.01

    def test_with_clusters_it_takes_as_many_entries(self) -> None:
        many = clustered(PERCENT, 0.001, audits=12_000, seed=7, weighted=True)
        alone = first_audits(PERCENT, 0.001, audits=600, seed=7)
        # A wrong entry that is audited again is more evidence against the stratum.
        assert 0.95 * alone.certified.mean() < many.certified.mean() <= alone.certified.mean() + 0.02
        assert many.entries.mean() == pytest.approx(600, rel=0.05)


class TestHarm:
    def test_a_stratum_that_goes_bad_is_closed_soon(self) -> None:
        many = first_audits(PERCENT, 0.0005, audits=3_000, seed=8, runs=500)
        assert many.certified.mean() > 0.9
        random, zero = np.random.default_rng(9), np.zeros(500)
        never_floored = np.full(500, 3_000 * math.log1p(-0.01))  # what a process that is not floored has come to
        for _ in range(400):
            wrong = (random.random(500) < 0.1).astype(float)
            many.observe(wrong, zero)
            never_floored += np.log1p((HARM - 1) / 0.99 * (wrong - 0.01))
        assert many.closed.mean() > 0.95
        assert (never_floored >= PERCENT.alarm).mean() < 0.5

    def test_false_alarms_are_as_far_apart_as_promised(self) -> None:
        """The chance of one within so many audits is at most their share of the mean time between two."""
        often = Target(wrong=0.01, strata=1, between_false_alarms=2_000)
        many = first_audits(often, 0.01, audits=1_000, seed=10)
        assert 0 < many.closed.mean() <= 1_000 / 2_000

    def test_both_verdicts_last(self) -> None:
        wager = Wager(target=PERCENT)
        for _ in range(400):
            wager = wager.observed(Audit(wrong=0.0))
        assert wager.serves
        for _ in range(40):
            wager = wager.observed(Audit(wrong=1.0))
        assert wager.evidence < wager.needed
        assert (wager.certified, wager.closed, wager.serves) == (True, True, False)
        for _ in range(2_000):
            wager = wager.observed(Audit(wrong=0.0))
        assert not wager.serves


class TestValues:
    @given(target=TARGETS, audits=AUDITS)
    def test_a_wager_is_read_back_as_it_was(self, target: Target, audits: list[Audit]) -> None:
        wager = Wager(target=target)
        for audit in audits:
            wager = wager.observed(audit)
        assert Wager.from_plain(wager.to_plain()) == wager

    @given(st.builds(Stratum, category=st.text(), verifier=st.text(), score_bin=st.integers(0, SCORE_BINS - 1)))
    def test_a_stratum_is_read_back_as_it_was(self, stratum: Stratum) -> None:
        assert Stratum.from_plain(stratum.to_plain()) == stratum

    @pytest.mark.parametrize(
        "change",
        [
            {"audits": -1},
            {"entries": 3},
            {"wrong": 2.5},
            {"evidence": math.nan},
            {"evidence": "1"},
            {"harm": -0.1},
            {"certified": 1},
            {"closed": None},
            {"target": {"wrong": 0.01}},
            {"more": 1},
        ],
    )
    def test_a_damaged_row_is_refused(self, change: dict[str, Any]) -> None:
        plain = Wager(target=PERCENT).observed(Audit(wrong=0.0)).observed(Audit(wrong=1.0)).to_plain()
        assert Wager.from_plain(plain).audits == 2
        with pytest.raises(ConfigurationError):
            Wager.from_plain({**plain, **change})

    @pytest.mark.parametrize(
        "wrong",
        [
            {"wrong": 0.0},
            {"wrong": 1.0},
            {"wrong": math.nan},
            {"strata": 0},
            {"strata": 1.5},
            {"mistakes": 0.0},
            {"judge_error": 1.0},
            {"between_false_alarms": 1.0},
        ],
    )
    def test_a_target_that_makes_no_sense_is_refused(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(ConfigurationError):
            Target(**{"wrong": 0.01, "strata": 1, **wrong})

    @given(st.floats(allow_nan=True))
    def test_a_score_is_in_the_bin_of_the_last_edge_that_it_reaches(self, score: float) -> None:
        place = score_bin(score)
        if place is None:
            assert not score >= SCORE_EDGES[0]
        else:
            assert SCORE_EDGES[place] <= score
            assert place == SCORE_BINS - 1 or score < SCORE_EDGES[place + 1]
