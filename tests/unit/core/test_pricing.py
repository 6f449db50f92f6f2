"""Dollars of one call."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_router.core.checking import LARGEST_DOLLARS
from session_router.core.prefix import PromptCache
from session_router.core.pricing import TOKENS_PER_PRICE, Prices, Usage, billed, call_cost, cold_price, estimated_cost, ingest_price
from session_router.errors import ConfigurationError
from session_router.testing.providers import Prices as SimulatedPrices
from session_router.testing.providers.prefix_cache import BLOCK_TOKENS, MINIMUM_TOKENS, AutomaticPrefixCache, BreakpointPrefixCache
from session_router.testing.providers.tokens import Segment

PRICES = Prices(input=2.0, output=8.0, cached_input=0.5, cache_write=2.5)
CACHE = PromptCache(minimum_tokens=1_024)
counts = st.integers(0, 10**7)
optional_prices = st.none() | st.floats(0, 100)
prices_of_any_kind = st.builds(
    Prices, input=st.floats(0, 100), output=st.floats(0, 100), cached_input=optional_prices, cache_write=optional_prices
)
caches = st.builds(
    PromptCache, seconds_to_live=st.sampled_from([0.0, 300.0]), minimum_tokens=st.integers(0, 5_000), block_tokens=st.integers(1, 500)
)


def test_every_kind_of_token_has_its_price() -> None:
    usage = Usage(input=1_000_000, cached=400_000, written=100_000, output=10_000)
    assert call_cost(PRICES, usage) == pytest.approx(0.5 * 2.0 + 0.4 * 0.5 + 0.1 * 2.5 + 0.01 * 8.0)


def test_prices_that_are_not_stated_are_those_of_plain_input() -> None:
    usage = Usage(input=1_000_000, cached=400_000, written=100_000)
    assert call_cost(Prices(input=2.0, output=8.0), usage) == pytest.approx(2.0)


def test_a_cache_that_costs_nothing_is_not_taken_for_unknown() -> None:
    assert call_cost(Prices(input=2.0, output=8.0, cached_input=0.0), Usage(input=1_000_000, cached=1_000_000)) == 0.0


@given(prices=prices_of_any_kind, held=st.floats(0.05, 1))
def test_a_provider_that_does_not_always_cache_costs_something_in_between(prices: Prices, held: float) -> None:
    expected = prices.expected(held)
    for fresh, stated, found in zip((prices.input, prices.input), prices.read, expected.read, strict=True):
        assert min(fresh, stated) - 1e-9 <= found <= max(fresh, stated) + 1e-9
    without = Prices(input=prices.input, output=prices.output, cache_write=prices.input).expected(held)
    assert without.read == (prices.input, prices.input)


@given(held=st.floats(0.05, 1))
def test_the_dearest_price_stays_one(held: float) -> None:
    """As a price that keeps a model from being chosen. A share of it and the rest of it may add up to more."""
    for cached in (None, 0.0, LARGEST_DOLLARS):
        prices = Prices(input=LARGEST_DOLLARS, output=LARGEST_DOLLARS, cached_input=cached, cache_write=LARGEST_DOLLARS)
        assert prices.expected(held).read[0] == LARGEST_DOLLARS
    assert Prices(input=0.1, output=1.0, cached_input=LARGEST_DOLLARS).expected(held).read[1] <= LARGEST_DOLLARS


@given(read=counts, written=counts, output=counts)
def test_warm_is_never_dearer_than_cold(read: int, written: int, output: int) -> None:
    cold = call_cost(PRICES, Usage(input=read + written, output=output))
    warm = call_cost(PRICES, Usage(input=read + written, cached=read, output=output))
    assert 0 <= warm <= cold
    assert cold == pytest.approx((PRICES.input * (read + written) + PRICES.output * output) / TOKENS_PER_PRICE)


@pytest.mark.parametrize(
    ("tokens", "cached", "written"),
    [
        (1_023, 0, 0),  # too short to be cached
        (1_024, 0, 1_024),
        (5_000, 0, 5_000),
        (5_000, 4_000, 1_000),
        (5_000, 5_000, 0),
        (1_000, 5_000, 0),
    ],
)
def test_what_is_newly_cached_counts_as_written(tokens: int, cached: int, written: int) -> None:
    found = billed(Usage(input=tokens, cached=cached, output=7), PRICES, CACHE)
    assert found == Usage(input=tokens, cached=cached, written=written, output=7)


def test_whole_blocks_are_written() -> None:
    assert billed(Usage(input=1_300), PRICES, PromptCache(block_tokens=128)).written == 1_280


def test_where_nothing_is_cached_nothing_is_written() -> None:
    assert billed(Usage(input=5_000, written=5_000), PRICES, PromptCache(seconds_to_live=0.0)).written == 0
    assert billed(Usage(input=5_000, written=5_000), Prices(input=2.0, output=8.0), CACHE).written == 0


@given(prices=prices_of_any_kind, cache=caches, tokens=counts, share=st.floats(0, 1), output=counts)
def test_filling_in_moves_tokens_and_invents_none(prices: Prices, cache: PromptCache, tokens: int, share: float, output: int) -> None:
    estimate = Usage(input=tokens, cached=int(tokens * share), output=output)
    found = billed(estimate, prices, cache)
    assert (found.input, found.cached, found.output) == (estimate.input, estimate.cached, estimate.output)
    assert 0 <= found.written <= tokens - found.cached
    assert billed(found, prices, cache) == found
    if prices.cache_write is None:
        assert call_cost(prices, found) == call_cost(prices, estimate)
    elif prices.cache_write >= prices.input:
        assert call_cost(prices, found) >= call_cost(prices, estimate) * (1 - 1e-12)


@given(prices=prices_of_any_kind, cache=caches, tokens=counts, share=st.floats(0, 1), output=counts)
def test_an_estimate_costs_what_it_would_be_billed(prices: Prices, cache: PromptCache, tokens: int, share: float, output: int) -> None:
    cached = int(tokens * share)
    usage = billed(Usage(input=tokens, cached=cached, output=output), prices, cache)
    assert estimated_cost(prices, cache, tokens=tokens, cached=cached, output=output) == call_cost(prices, usage)


@given(prices=prices_of_any_kind, cache=caches, tokens=counts)
def test_a_cold_read_costs_no_less_than_a_warm_one(prices: Prices, cache: PromptCache, tokens: int) -> None:
    dearer = ingest_price(prices, cache, tokens=tokens, cached=0)
    assert cold_price(prices, cache, tokens) == max(0.0, dearer)


SIMULATED = SimulatedPrices()
conversations = st.lists(st.tuples(st.integers(0, 3_000), st.integers(0, 400)), min_size=1, max_size=6)


def dollars_of(conversation: list[tuple[int, int]], served: AutomaticPrefixCache | BreakpointPrefixCache) -> list[tuple[float, Usage]]:
    """What a simulated provider bills for each request of a growing conversation, and what was to be expected."""
    block = BLOCK_TOKENS if isinstance(served, AutomaticPrefixCache) else 1
    cache = PromptCache(seconds_to_live=300.0, minimum_tokens=MINIMUM_TOKENS, block_tokens=block)
    rows: list[tuple[float, Usage]] = []
    row: list[Segment] = []
    now, read_at, read = 0.0, -math.inf, 0
    for tokens, gap in conversation:
        now += gap
        row = [Segment(header=one.header, text=one.text) for one in row]
        row.append(Segment(header=str(len(row)), text="word" * tokens, breakpoint="5m"))
        total = sum(one.tokens for one in row)
        expected = Usage(input=total, cached=cache.cacheable(read) if cache.keeps_for(now - read_at) else 0)
        rows.append((SIMULATED.dollars(served.use(("account", "model"), row, now)), expected))
        read_at, read = now, total
    return rows


@given(conversations)
def test_expected_dollars_are_those_that_providers_bill(conversation: list[tuple[int, int]]) -> None:
    write = Prices(input=SIMULATED.input, output=SIMULATED.output, cached_input=SIMULATED.cached_input, cache_write=SIMULATED.cache_write)
    plain = Prices(input=SIMULATED.input, output=SIMULATED.output, cached_input=SIMULATED.cached_input)
    marked = PromptCache(seconds_to_live=300.0, minimum_tokens=MINIMUM_TOKENS)
    for dollars, expected in dollars_of(conversation, BreakpointPrefixCache()):
        assert call_cost(write, billed(expected, write, marked)) == pytest.approx(dollars)
    for dollars, expected in dollars_of(conversation, AutomaticPrefixCache()):
        assert call_cost(plain, billed(expected, plain, marked)) == pytest.approx(dollars)
    # Without filling in, the price of writing is never paid.
    [(dollars, expected)] = dollars_of([(2_000, 0)], BreakpointPrefixCache())
    assert call_cost(write, expected) == pytest.approx(dollars * SIMULATED.input / SIMULATED.cache_write)
    assert call_cost(write, billed(expected, write, marked)) == pytest.approx(dollars)


def test_more_cached_than_read_never_earns_money() -> None:
    assert call_cost(PRICES, Usage(input=10, cached=1_000)) == pytest.approx(1_000 * 0.5 / TOKENS_PER_PRICE)


@pytest.mark.parametrize("name", ["input", "output", "cached_input", "cache_write"])
@pytest.mark.parametrize("value", [-0.01, math.nan, math.inf, "1"])
def test_a_wrong_price_names_itself_and_the_rule(name: str, value: object) -> None:
    with pytest.raises(ConfigurationError, match="US dollars per 1,000,000 tokens, >= 0") as caught:
        Prices(**{"input": 1.0, "output": 1.0, name: value})  # type: ignore[arg-type]
    assert (caught.value.key, caught.value.rule[:4]) == (f"prices.{name}", "give")


@pytest.mark.parametrize("name", ["input", "output"])
def test_the_two_prices_that_must_be_stated(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"prices.{name}"):
        Prices(**{"input": 1.0, "output": 1.0, name: None})  # type: ignore[arg-type]
