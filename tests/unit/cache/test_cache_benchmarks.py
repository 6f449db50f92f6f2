"""The arithmetic of the cache benchmarks: certificates, thresholds and what they are judged on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks._cache_answers import CONTENT, EXACT, NONE, Answers, Method
from benchmarks._cache_certificates import ONE, certified_after, drawn
from benchmarks._cache_judging import PARTS, always, at_most, certified, hits_needed, in_hindsight
from benchmarks._cache_needed import told_of_need
from benchmarks._cache_peers import ExactCache
from benchmarks._cache_sets import Item, LookUps, read_aloud
from session_router.core.risk import upper_bound
from session_router.core.wager import Audit, Wager

ENTRIES = 800


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    share=st.sampled_from([0.0, 0.002, 0.0101, 0.05]),
    later=st.sampled_from([0, 3, 19]),
    steady=st.sampled_from([1.0, 0.5, 0.1]),
)
def test_histories_of_bad_entries_are_wagers(seed: int, share: float, later: int, steady: float) -> None:
    bad = drawn(share, entries=ENTRIES, seed=seed, later=later, steady=steady, runs=1)
    places = {int(place): number for number, place in enumerate(bad.place[0])}
    wager, after = Wager(target=ONE), 0
    for entry in range(ENTRIES):
        number = places.get(entry)
        wager = wager.observed(Audit(wrong=float(number is not None and bad.first[0, number])))
        if wager.certified:
            after = entry + 1
            break
        for place in range(later):
            found = number is not None and bad.later[0, number, place]
            wager = wager.observed(Audit(wrong=float(found), earlier=place + 1))
    assert certified_after(ONE, bad, entries=ENTRIES).tolist() == [after]


def answers(score: list[float], right: list[bool], tier: list[int] | None = None) -> Answers:
    method = Method(score=np.array(score), right=np.array(right), entry=np.arange(len(score)))
    tiers = np.array(tier or [NONE] * len(score))
    formed = Method(score=(tiers < NONE).astype(float), right=np.array(right), entry=np.arange(len(score)))
    return Answers(
        same_text=method,
        tier=tiers,
        formed=formed,
        methods={"plain": method, "ours": method},
        unlike=np.zeros((0, 2)),
        aloud=(0, 0),
        within_reach=np.ones(len(score), dtype=bool),
    )


def test_a_threshold_is_chosen_on_the_other_parts() -> None:
    # All are right, but for those of the first part below 0.9.
    score = [0.95 if number < 500 else 0.6 for number in range(1_000)]
    right = [number < 500 or number % PARTS > 0 for number in range(1_000)]
    found = answers(score, right)
    judged = at_most(0.01, found.methods["plain"], found, forms=False)
    # The others know better than to serve what is wrong in the first; it is served by what they are like.
    assert judged.thresholds == (0.6, *[0.95] * (PARTS - 1))
    assert (judged.hits, judged.wrong) == (500 + 50, 50)
    best = in_hindsight(0.01, found.methods["plain"], found)
    assert (best.hits, best.wrong) == (500, 0)
    assert always(found.methods["plain"], found, threshold=0.6).hits == 1_000


@pytest.mark.parametrize(("count", "served"), [(75, 0), (77, 77)])
def test_a_few_that_are_right_do_not_make_a_threshold(count: int, served: int) -> None:
    # 69 right ones, and none wrong, are as likely as not if one in a hundred is wrong: the other parts have so many of 77, not of 75.
    found = answers([0.9] * count, [True] * count)
    assert at_most(0.01, found.methods["plain"], found, forms=False).hits == served


def test_equal_scores_are_served_together_or_not_at_all() -> None:
    found = answers([0.9] * 6, [True, True, True, True, True, False])
    assert in_hindsight(0.01, found.methods["plain"], found).hits == 0


def test_forms_are_served_whatever_is_chosen() -> None:
    found = answers([0.1, 0.1, 0.9, 0.9], [True, False, False, False], [EXACT, CONTENT, NONE, NONE])
    judged = at_most(0.01, found.methods["ours"], found, forms=True)
    assert judged.tiers == {"exact": (1, 0), "content": (1, 1), "similar": (0, 0)}
    assert judged.bound == pytest.approx(0.9747, abs=1e-4)


def test_requests_in_order_earn_a_certificate() -> None:
    count = 1_000
    judged, wagers = certified(0.01, (found := answers([0.999] * count, [True] * count)).methods["ours"], found)
    assert [wager.certified for wager in wagers] == [False, False, False, True]
    # All before it were audited, all after it served.
    assert judged.hits == count - wagers[-1].entries
    judged, _ = certified(0.01, (found := answers([0.999] * count, [number % 20 > 0 for number in range(count)])).methods["ours"], found)
    assert judged.hits == 0


@pytest.mark.parametrize("limit", [0.01, 0.1])
@pytest.mark.parametrize("wrong", [0, 1, 7])
def test_so_many_hits_show_a_bound_and_one_fewer_does_not(wrong: int, limit: float) -> None:
    needed = hits_needed(wrong, limit=limit)
    assert upper_bound(wrong, needed, delta=0.05) <= limit < upper_bound(wrong, needed - 1, delta=0.05)


def test_what_is_needed_is_told() -> None:
    def told(score: list[float], right: list[bool], tier: list[int] | None = None) -> str:
        found = answers(score, right, tier)
        ours, best = (judge(0.01, found.methods["ours"], found, forms=True) for judge in (at_most, in_hindsight))
        return told_of_need(ours, best, limit=0.01, aloud=(9, 2))

    assert told([0.9] * 400, [True] * 400) == "the bound is shown"
    assert told([0.9] * 100, [True] * 100).endswith("there are 100; none is wrong: 199 more such hits would do")
    forms = told([0.1] * 4, [False, True, True, True], [CONTENT, EXACT, EXACT, EXACT])
    assert "wrong in 1 of 4; by the labels of this set, 2 of 9 requests that read like a stored one" in forms
    # The parts that are right at 0.6 let the first be served down to there as well.
    score = [0.95 if number < 500 else 0.6 for number in range(1_000)]
    similar = told(score, [number < 500 or number % PARTS > 0 for number in range(1_000)])
    assert "the third tier is wrong in 50 of 550" in similar
    assert "in hindsight one threshold keeps 500 hits of it with 0 wrong" in similar


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Why aren't you here?", "why are not you  here", True),
        ("Who's there?", "Who is there", True),
        ("I can't.", "I cannot", True),
        ("Is it 2?", "Is it 3?", False),
        ("Anna's there", "Anna is there", False),
    ],
)
def test_what_reads_the_same(one: str, other: str, *, same: bool) -> None:
    assert (read_aloud(one) == read_aloud(other)) is same


def test_what_is_right() -> None:
    stored = [Item(text="I need a car.", answer="1"), Item(text="I need a cab", answer="2")]
    for same_text, expected in ((True, True), (False, False)):
        found = LookUps(name="", stored=stored, asked=[], closed=True, same_text=same_text)
        assert found.right(Item(text="i need a  car", answer="3"), 0) is expected
        assert found.right(Item(text="Taxi!", answer="2"), 1)
        assert not found.right(Item(text="Taxi!", answer="2"), -1)


def test_the_exact_cache_compares_texts() -> None:
    cache = ExactCache([Item(text="One?", answer="1"), Item(text="One?", answer="1", partition="p")])
    found = [
        cache.look_up(Item(text=text, answer=None, partition=partition)) for text, partition in (("One?", ""), ("One?", "p"), ("one?", ""))
    ]
    assert found == [0, 1, -1]
