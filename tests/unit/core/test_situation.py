"""What a call is expected to cost on a model: tokens as its provider counts them, at the prices that it bills."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from session_router.core.model import ModelSpec
from session_router.core.policy import Policy
from session_router.core.prefix import PromptCache
from session_router.core.pricing import TOKENS_PER_PRICE, Prices, Usage, call_cost
from session_router.core.session import Session, Visit
from session_router.core.situation import Situation
from session_router.testing.providers import Prices as BilledPrices
from session_router.testing.providers.prefix_cache import BLOCK_TOKENS, MINIMUM_TOKENS, AutomaticPrefixCache, BreakpointPrefixCache
from session_router.testing.providers.tokens import BYTES_PER_TOKEN, Segment
from values import FAST, SESSION, call_of, human, transcript

PRICES = Prices(input=3.0, cached_input=0.3, cache_write=3.75, output=15.0)
POLICY = Policy(output_tokens=100)
READ_AT, ASKED_AT = 1_000.0, 1_100.0
BLOCKS = PromptCache(minimum_tokens=MINIMUM_TOKENS, block_tokens=BLOCK_TOKENS)


def situation(*tokens: int, spec: ModelSpec, visit: Visit | None = None) -> Situation:
    call = call_of(*(human(f"{at}", tokens=one) for at, one in enumerate(tokens)), now=ASKED_AT)
    session = None if visit is None else Session(id=SESSION, visits={FAST: visit})
    return Situation.of(call, {FAST: spec}, POLICY, session)


def visit_of(tokens: int, *, scale: float = 1.0, held: float = 1.0) -> Visit:
    return replace(Visit.of(transcript(human("0", tokens=tokens)), at=READ_AT), tokens=round(tokens * scale), scale=scale, held=held)


def segments(*tokens: int, mark: bool) -> list[Segment]:
    texts = [Segment(header=f"{at}", text="x" * (one * BYTES_PER_TOKEN)) for at, one in enumerate(tokens)]
    return [*texts[:-1], replace(texts[-1], breakpoint="5m")] if mark else texts


sizes = st.integers(1, 4_000)


@given(read=sizes, new=sizes, warm=st.booleans())
def test_a_call_is_priced_as_a_provider_that_charges_for_writing_bills_it(read: int, new: int, *, warm: bool) -> None:
    cache = BreakpointPrefixCache()
    if warm:
        cache.use(("account", "model"), segments(read, mark=True), READ_AT)
    counted = cache.use(("account", "model"), segments(read, new, mark=True), ASKED_AT)
    bill = BilledPrices(input=3.0, cached_input=0.3, cache_write=3.75, output=15.0).dollars(replace(counted, output=POLICY.output_tokens))
    here = situation(read, new, spec=ModelSpec(model="m", prices=PRICES), visit=visit_of(read) if warm else None)
    priced = here.priced(FAST, None)
    assert priced.cost == pytest.approx(bill)
    assert priced.cached == counted.cached_input
    # The check bites: without the price of writing, what is cached for the first time would be too cheap.
    plain = call_cost(PRICES, Usage(input=read + new, cached=priced.cached, output=POLICY.output_tokens))
    assert (plain < bill) == (counted.written > 0)


@given(read=sizes, new=sizes, scale=st.sampled_from([0.5, 0.75, 1.0, 1.25, 2.0]))
@example(read=1_877, new=1, scale=0.75)
def test_blocks_and_minimum_are_counted_as_the_provider_counts(read: int, new: int, scale: float) -> None:
    """A model that counts `scale` tokens where we estimate one caches whole blocks of its own tokens."""
    cache = AutomaticPrefixCache()
    theirs = [round(one * scale) for one in (read, new)]
    cache.use(("account", "model"), segments(theirs[0], mark=False), READ_AT)
    counted = cache.use(("account", "model"), segments(*theirs, mark=False), ASKED_AT)
    here = situation(read, new, spec=ModelSpec(model="m", prices=PRICES, prompt_cache=BLOCKS), visit=visit_of(read, scale=scale))
    intake = here.intakes[FAST]
    assert intake.tokens == pytest.approx(sum(theirs), abs=1)
    assert intake.cached == counted.cached_input


@given(read=sizes, blocks=st.integers(8, 80))
def test_a_prefix_that_was_counted_is_counted_so_again(read: int, blocks: int) -> None:
    """A count over an estimate, times the estimate, may fall short of the count by a hair: no block is lost by that."""
    counted = blocks * BLOCK_TOKENS
    visit = visit_of(read, scale=counted / read)
    intake = situation(read, 1, spec=ModelSpec(model="m", prices=PRICES, prompt_cache=BLOCKS), visit=visit).intakes[FAST]
    assert intake.cached == counted <= intake.tokens


def test_blocks_of_estimated_tokens_would_miss_the_minimum() -> None:
    here = situation(800, 50, spec=ModelSpec(model="m", prices=PRICES, prompt_cache=BLOCKS), visit=visit_of(800, scale=2.0))
    assert BLOCKS.cacheable(800) == 0
    assert (here.intakes[FAST].tokens, here.intakes[FAST].cached) == (1_700.0, 1_536)


@given(read=sizes, held=st.floats(0, 1))
def test_what_a_provider_was_seen_not_to_hold_is_not_counted_on(read: int, held: float) -> None:
    spec = ModelSpec(model="m", prices=PRICES)
    full, partly, none = (situation(read, 10, spec=spec, visit=visit_of(read, held=one)) for one in (1.0, held, 0.0))
    assert partly.priced(FAST, None).cached == round(held * full.priced(FAST, None).cached)
    # What it does not hold is read fresh, in the call and in all the loop.
    assert none.intakes[FAST].prices.cached_input == PRICES.input
    assert partly.intakes[FAST].prices.cached_input == pytest.approx(held * (PRICES.cached_input or 0.0) + (1 - held) * PRICES.input)
    assert full.intakes[FAST].prices == PRICES


@given(read=sizes, new=sizes, held=st.floats(0, 1))
def test_what_is_not_seen_to_be_cached_is_not_billed_as_written_either(read: int, new: int, held: float) -> None:
    """A provider that was not told to cache charges for neither."""
    spec = ModelSpec(model="m", prices=PRICES)
    costs = [situation(read, new, spec=spec, visit=visit_of(read, held=one)).priced(FAST, None).cost for one in (0.0, held)]
    plain = call_cost(PRICES, Usage(input=read + new, output=POLICY.output_tokens))
    assert costs[0] == pytest.approx(plain)
    assert costs[1] is not None
    assert costs[1] <= plain + (PRICES.cache_write or 0.0) * (read + new) * held / TOKENS_PER_PRICE
