"""Laws of segments: their price is that of their calls, and their habits are forgotten exponentially."""

from __future__ import annotations

from dataclasses import replace
from math import log

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from session_router.core.prefix import PromptCache
from session_router.core.pricing import Prices, Usage, billed, call_cost, cold_premium, segment_price
from session_router.core.segment import MEMORY, Ended, Forecast, Habits, Segment
from session_router.core.transcript import Transcript
from session_router.testing.strategies import prices, transcripts

CALLS, TOKENS, FEW = st.integers(1, 12), st.integers(0, 200_000), st.integers(0, 5_000)
CACHES = st.builds(PromptCache, seconds_to_live=st.sampled_from([0.0, 300.0]), minimum_tokens=st.sampled_from([0, 1_024, 100_000]))
ENDS = st.builds(
    Ended, calls=CALLS, growth=st.floats(0, 5_000), output=st.floats(1, 5_000), between=st.floats(0, 5_000), surprise=st.floats(0, 3)
)
SILENT = st.builds(Ended, calls=CALLS, growth=st.none(), output=st.none(), between=st.none(), surprise=st.floats(0, 3))
MEANS = ("calls", "growth", "output", "between", "surprise")


def forecast_of(*calls: int, growth: float, output: float) -> Forecast:
    """What is expected where each of `calls` is as likely."""
    pairs = sum(n * (n - 1) / 2 for n in calls) / len(calls)
    return Forecast(calls=sum(calls) / len(calls), pairs=pairs, growth=growth, output=output)


def call_by_call(prices: Prices, cache: PromptCache, *, calls: int, tokens: int, growth: int, output: int, cached: int) -> float:
    """Dollars of the calls of a segment, one after the other; what was read is cached for the next."""
    dollars = 0.0
    for number in range(calls):
        held = cached if number == 0 else cache.cacheable(tokens + (number - 1) * growth)
        dollars += call_cost(prices, billed(Usage(input=tokens + number * growth, cached=held, output=output), prices, cache))
    return dollars


@given(prices=prices(), cache=CACHES, calls=CALLS, tokens=TOKENS, growth=FEW, output=FEW, share=st.floats(0, 1))
def test_the_price_of_a_segment_is_the_sum_over_its_calls(
    prices: Prices, cache: PromptCache, calls: int, tokens: int, growth: int, output: int, share: float
) -> None:
    # A loop that grows past the minimum is priced as it begins.
    assume(cache.cacheable(tokens) or not cache.cacheable(tokens + (calls - 1) * growth))
    cached = int(share * cache.cacheable(tokens))
    price = segment_price(prices, cache, forecast_of(calls, growth=growth, output=output), tokens=tokens, cached=cached)
    explicit = call_by_call(prices, cache, calls=calls, tokens=tokens, growth=growth, output=output, cached=cached)
    assert price.ingest + price.loop == pytest.approx(explicit, rel=1e-9, abs=1e-12)
    if cache.cacheable(tokens):
        warm = segment_price(prices, cache, forecast_of(calls, growth=growth, output=output), tokens=tokens, cached=tokens)
        assert warm.ingest == 0.0
        assert warm.loop == price.loop


@given(prices=prices(), calls=st.lists(CALLS, min_size=1, max_size=5), tokens=st.integers(2_000, 200_000), growth=FEW, output=FEW, cold=FEW)
def test_means_suffice(prices: Prices, calls: list[int], tokens: int, growth: int, output: int, cold: int) -> None:
    cache, cached = PromptCache(), max(0, tokens - cold)
    price = segment_price(prices, cache, forecast_of(*calls, growth=growth, output=output), tokens=tokens, cached=cached)
    each = [call_by_call(prices, cache, calls=n, tokens=tokens, growth=growth, output=output, cached=cached) for n in calls]
    assert price.ingest + price.loop == pytest.approx(sum(each) / len(each), rel=1e-9, abs=1e-12)


def test_the_mean_of_the_calls_alone_does_not_suffice() -> None:
    dear = Prices(input=10.0, output=0.0, cached_input=10.0)
    each = [call_by_call(dear, PromptCache(), calls=n, tokens=2_000, growth=5_000, output=0, cached=0) for n in (1, 9)]
    right = forecast_of(1, 9, growth=5_000, output=0)
    for forecast, is_right in ((right, True), (replace(right, pairs=5 * 4 / 2), False)):
        price = segment_price(dear, PromptCache(), forecast, tokens=2_000, cached=0)
        assert (price.ingest + price.loop == pytest.approx(sum(each) / 2)) is is_right


@given(prices=prices(), tokens=TOKENS, more=TOKENS)
def test_a_premium_is_never_negative_and_never_falls_with_the_tokens(prices: Prices, tokens: int, more: int) -> None:
    assert 0 <= cold_premium(prices, tokens) <= cold_premium(prices, tokens + more)


def weighted(values: list[float], *, prior: float = 0.0, weight: float = 0.0) -> float:
    """The mean of `values`, each of which counts for `MEMORY` of the one after it, behind a `prior` of some weight."""
    weights = [MEMORY ** (len(values) - 1 - place) for place in range(len(values))]
    before = weight * MEMORY ** len(values)
    return (before * prior + sum(one * value for one, value in zip(weights, values, strict=True))) / (before + sum(weights))


@given(st.lists(ENDS, min_size=1, max_size=30))
def test_habits_are_exponentially_forgotten_means(ends: list[Ended]) -> None:
    habits, plain = Habits(), Habits()
    for number, ended in enumerate(ends):
        habits = habits.learned(ended)
        plain = replace(plain, calls=plain.calls + (ended.calls - plain.calls) / (number + 1))
    for name in MEANS:
        assert getattr(habits, name) == pytest.approx(weighted([getattr(one, name) for one in ends]), rel=1e-9, abs=1e-9)
    assert habits.pairs == pytest.approx(weighted([one.calls * (one.calls - 1) / 2 for one in ends]), rel=1e-9, abs=1e-9)
    assert habits.weight == pytest.approx(sum(MEMORY**age for age in range(len(ends))))


def test_habits_are_no_plain_means() -> None:
    ends = [Ended(calls=n, growth=0.0, output=1.0, between=0.0, surprise=0.0) for n in (1, 1, 1, 9)]
    habits = Habits()
    for ended in ends:
        habits = habits.learned(ended)
    assert habits.calls == pytest.approx(weighted([1, 1, 1, 9]))
    assert habits.calls > 3.2
    assert sum((1, 1, 1, 9)) / 4 == 3.0


@given(prior=st.lists(ENDS, min_size=1, max_size=9), ends=st.lists(ENDS, max_size=9))
def test_a_prior_is_forgotten_like_a_segment(prior: list[Ended], ends: list[Ended]) -> None:
    habits = Habits()
    for ended in prior:
        habits = habits.learned(ended)
    begun = later = habits.as_prior()
    for ended in ends:
        later = later.learned(ended)
    for name in MEANS:
        behind = weighted([getattr(one, name) for one in ends], prior=getattr(begun, name), weight=begun.weight)
        assert getattr(later, name) == pytest.approx(behind, rel=1e-9, abs=1e-9)


@given(st.lists(ENDS | SILENT, min_size=1, max_size=30))
def test_habits_stay_within_what_was_observed(ends: list[Ended]) -> None:
    habits = Habits()
    for ended in ends:
        habits = habits.learned(ended)
    for name in MEANS:
        seen = [value for one in ends if (value := getattr(one, name)) is not None]
        # Where the first segment says nothing of it, what is assumed without any stays in the mean.
        known = seen if name in {"calls", "surprise", "output"} or ends[0].growth is not None else [*seen, getattr(Habits(), name)]
        if known:
            slack = 1e-9 * (1 + max(known))
            assert min(known) - slack <= getattr(habits, name) <= max(known) + slack
    assert habits.calls >= 1
    assert habits.pairs >= habits.calls - 1 - 1e-9
    forecast = Forecast.of(habits, output=400)
    assert forecast.pairs >= forecast.calls - 1 >= 0


@given(transcripts(max_size=20), st.data())
def test_what_has_ended_is_finite_and_no_growth_is_negative(history: Transcript, data: st.DataObject) -> None:
    """Whatever was rewritten in between."""
    counts = st.integers(0, 3_000)
    segment = Segment(
        start=data.draw(st.integers(0, 30)),
        first_tokens=data.draw(counts),
        last_tokens=data.draw(counts),
        calls=data.draw(CALLS),
        predicted_calls=data.draw(st.floats(1, 100)),
    )
    ended = segment.ended(history)
    assert ended.calls == segment.calls
    assert all(value is None or value >= 0 for value in (ended.growth, ended.output, ended.between))
    assert ended.between is None or history.tokens == segment.last_tokens + ended.between
    assert 0 <= ended.surprise <= log(100)
