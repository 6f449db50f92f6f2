"""Dollars of one call."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_router.core.pricing import TOKENS_PER_PRICE, Prices, Usage, call_cost
from session_router.errors import ConfigurationError

PRICES = Prices(input=2.0, output=8.0, cached_input=0.5, cache_write=2.5)
counts = st.integers(0, 10**7)


def test_every_kind_of_token_has_its_price() -> None:
    usage = Usage(input=1_000_000, cached=400_000, written=100_000, output=10_000)
    assert call_cost(PRICES, usage) == pytest.approx(0.5 * 2.0 + 0.4 * 0.5 + 0.1 * 2.5 + 0.01 * 8.0)


def test_prices_that_are_not_stated_are_those_of_plain_input() -> None:
    usage = Usage(input=1_000_000, cached=400_000, written=100_000)
    assert call_cost(Prices(input=2.0, output=8.0), usage) == pytest.approx(2.0)


def test_a_cache_that_costs_nothing_is_not_taken_for_unknown() -> None:
    assert call_cost(Prices(input=2.0, output=8.0, cached_input=0.0), Usage(input=1_000_000, cached=1_000_000)) == 0.0


@given(read=counts, written=counts, output=counts)
def test_warm_is_never_dearer_than_cold(read: int, written: int, output: int) -> None:
    cold = call_cost(PRICES, Usage(input=read + written, output=output))
    warm = call_cost(PRICES, Usage(input=read + written, cached=read, output=output))
    assert 0 <= warm <= cold
    assert cold == pytest.approx((PRICES.input * (read + written) + PRICES.output * output) / TOKENS_PER_PRICE)


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
