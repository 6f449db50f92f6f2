"""How much of a request a provider should still hold."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_router.core.model import ModelName
from session_router.core.prefix import PromptCache, cached_tokens
from session_router.core.session import Session, Visit
from session_router.core.transcript import Prefix, Transcript
from session_router.errors import ConfigurationError
from session_router.testing.providers.prefix_cache import (
    BLOCK_TOKENS,
    LOOKBACK,
    MINIMUM_TOKENS,
    AutomaticPrefixCache,
    BreakpointPrefixCache,
)
from session_router.testing.providers.tokens import Segment
from values import FAST, SESSION, STRONG, call_of, human, router, spec, system, tool, transcript

if TYPE_CHECKING:
    from collections.abc import Callable

CACHE = PromptCache(seconds_to_live=300.0, minimum_tokens=1_000)
LONG = transcript(human(tokens=900), tool("a", tokens=200))
READ = Session(id=SESSION).visited(STRONG, LONG, at=1_000.0).visits[STRONG]


def cached(later: Transcript, visit: Visit | None = READ, *, now: float = 1_100.0, cache: PromptCache = CACHE) -> int:
    return cached_tokens(later, visit, now=now, cache=cache)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A model has read `read` at time 0, and is asked about `request`, `age` seconds later."""

    read: tuple[int, ...]
    new: tuple[int, ...]
    age: float
    cache: PromptCache

    @property
    def visit(self) -> Visit:
        return Visit.of(history(*self.read), at=0.0)

    @property
    def request(self) -> Transcript:
        return history(*self.read, *self.new)

    def found(self, count: Callable[..., int] = cached_tokens, **changes: Any) -> int:
        request, now = changes.get("request", self.request), changes.get("now", self.age)
        return count(request, self.visit, now=now, cache=self.cache)


def history(*tokens: int) -> Transcript:
    return transcript(*(human(f"step {at}", tokens=one) for at, one in enumerate(tokens)))


steps = st.lists(st.integers(0, 2_000), max_size=6).map(tuple)
caches = st.builds(
    PromptCache,
    seconds_to_live=st.one_of(st.just(0.0), st.floats(0, 1_000)),
    minimum_tokens=st.sampled_from([0, 16, 1_000, 1_024]),
    block_tokens=st.sampled_from([1, 16, 128, 1_000]),
)
cases = st.builds(Case, read=steps, new=steps, age=st.floats(0, 1_200), cache=caches)
ROOMY = PromptCache(seconds_to_live=300.0, minimum_tokens=0)
WARM = Case(read=(900, 700), new=(50,), age=10.0, cache=ROOMY)


def test_what_was_read_a_moment_ago_is_warm() -> None:
    assert cached(LONG) == 1_100
    assert cached(LONG.extended([human("more", tokens=5_000)])) == 1_100


def test_never_read_is_cold() -> None:
    assert cached(LONG, None) == 0


@pytest.mark.parametrize(("now", "tokens"), [(1_000.0, 1_100), (1_299.9, 1_100), (1_300.0, 0), (999.0, 0), (math.nan, 0)])
def test_it_lives_as_long_as_the_provider_says(now: float, tokens: int) -> None:
    assert cached(LONG, now=now) == tokens


def test_a_rewritten_or_trimmed_history_is_cold() -> None:
    assert cached(transcript(human("summary", tokens=900), tool("a", tokens=200))) == 0
    assert cached(transcript(human(tokens=900))) == 0
    assert cached(transcript(system(), human(tokens=900), tool("a", tokens=200))) == 0


def test_another_system_prompt_makes_everything_cold() -> None:
    assert cached(LONG.headed(Prefix(b"another prompt..", 500))) == 0


def test_a_prefix_that_is_too_short_is_not_cached() -> None:
    short = transcript(human(tokens=999))
    visit = Session(id=SESSION).visited(STRONG, short, at=1_000.0).visits[STRONG]
    assert cached(short, visit) == 0


def test_a_visit_to_nothing_is_the_head_alone() -> None:
    head = Transcript(head=Prefix(b"h" * 16, 2_000))
    visit = Visit(steps=0, digest=head.head.digest, tokens=2_000, at=1_000.0)
    assert cached(head.extended([human()]), visit) == 2_000
    assert cached(LONG, replace(visit, steps=-1)) == 0


@pytest.mark.parametrize("now", [1_010.0, 1_100.0])
def test_each_model_s_prefix_lives_as_long_as_its_own_provider_says(now: float) -> None:
    steps = (human(tokens=900), tool("a", tokens=200))
    read = Session(id=SESSION, version=1).visited(FAST, transcript(*steps), at=1_000.0).visited(STRONG, transcript(*steps), at=1_000.0)
    models = {FAST: spec(prompt_cache=PromptCache(seconds_to_live=60.0)), STRONG: spec(prompt_cache=PromptCache(seconds_to_live=3_600.0))}
    decision = router(models).route(call_of(*steps, human("more"), now=now, carried=read))
    assert {one.model: one.cached for one in decision.evidence.candidates} == {FAST: 1_100 if now < 1_060.0 else 0, STRONG: 1_100}


@pytest.mark.parametrize(("seconds", "held"), [(-1.0, 0), (0.0, 1_280), (299.9, 1_280), (300.0, 0), (float("nan"), 0)])
def test_what_is_held_is_what_was_cached_until_it_expires(seconds: float, held: int) -> None:
    assert PromptCache(block_tokens=128).held(1_300, seconds=seconds) == held


def test_a_provider_that_caches_nothing_keeps_nothing() -> None:
    assert cached(LONG, now=1_000.0, cache=PromptCache(seconds_to_live=0.0, minimum_tokens=0)) == 0
    assert PromptCache(seconds_to_live=0.0, minimum_tokens=0).cacheable(5_000) == 0


@pytest.mark.parametrize(
    ("minimum", "block", "tokens", "kept"),
    [
        (1_024, 128, 1_023, 0),
        (1_024, 128, 1_024, 1_024),
        (1_024, 128, 1_151, 1_024),
        (1_024, 128, 1_152, 1_152),
        (1_024, 1, 1_151, 1_151),
        (0, 16, 15, 0),
        (0, 16, 47, 32),
        (1_000, 128, 1_023, 0),  # seven blocks are 896 tokens
        (0, 1, 0, 0),
    ],
)
def test_what_is_kept_is_whole_blocks_above_the_minimum(minimum: int, block: int, tokens: int, kept: int) -> None:
    assert PromptCache(minimum_tokens=minimum, block_tokens=block).cacheable(tokens) == kept


def without_digests(request: Transcript, visit: Visit | None, *, now: float, cache: PromptCache) -> int:
    prefix = request.prefix_at(visit.steps) if visit is not None and cache.keeps_for(now - visit.at) else None
    return 0 if prefix is None else cache.cacheable(prefix.tokens)


def without_blocks(request: Transcript, visit: Visit | None, *, now: float, cache: PromptCache) -> int:
    return cached_tokens(request, visit, now=now, cache=replace(cache, block_tokens=1))


def without_haste(request: Transcript, visit: Visit | None, *, now: float, cache: PromptCache) -> int:
    """Believe that a prefix is there five seconds after it was read, and no sooner."""
    return 0 if visit is None or now - visit.at < 5 else cached_tokens(request, visit, now=now, cache=cache)


@given(case=cases, later=st.floats(0, 1_200))
def test_never_more_is_cached_later(case: Case, later: float) -> None:
    def law(case: Case, later: float, count: Callable[..., int]) -> bool:
        return case.found(count, now=case.age + later) <= case.found(count)

    assert law(case, later, cached_tokens)
    assert not law(replace(WARM, age=0.0), 10.0, without_haste)


@given(cases)
def test_what_is_cached_is_whole_blocks_of_what_was_read(case: Case) -> None:
    def law(case: Case, count: Callable[..., int]) -> bool:
        found = case.found(count)
        return 0 <= found <= sum(case.read) and found % case.cache.block_tokens == 0 and (found == 0 or found >= case.cache.minimum_tokens)

    assert law(case, cached_tokens)
    assert not law(replace(WARM, cache=PromptCache(block_tokens=1_000)), without_blocks)


@given(case=cases, at=st.integers(0, 5), trimmed=st.booleans())
def test_a_rewritten_history_is_cold(case: Case, at: int, trimmed: bool) -> None:
    def rewritten(case: Case, at: int) -> Transcript:
        tokens = [*case.read, *case.new]
        return transcript(*(human(f"other {place}" if place == at else f"step {place}", tokens=one) for place, one in enumerate(tokens)))

    place = at % len(case.read) if case.read else 0
    request = history(*case.read[:place]) if trimmed else rewritten(case, place)
    if case.read:
        assert case.found(request=request) == 0
    assert WARM.found(request=rewritten(WARM, 0)) == 0
    assert WARM.found(without_digests, request=rewritten(WARM, 0)) == 1_600


@given(case=cases, away=st.floats(0, 1), other=steps)
def test_going_back_in_time_finds_what_was_read_before_leaving(case: Case, away: float, other: tuple[int, ...]) -> None:
    """A, then B, then A: A's prefix is as warm as if B had never been there."""
    session = Session(id=SESSION).visited(FAST, history(*case.read), at=0.0)
    between = history(*case.read, *other)
    session = session.visited(STRONG, between, at=case.age * away)
    request = history(*case.read, *other, *case.new)
    found = cached(request, session.visits[FAST], now=case.age, cache=case.cache)
    assert found == (case.cache.cacheable(sum(case.read)) if case.age < case.cache.seconds_to_live else 0)
    # A session that kept the last reader only would find A cold.
    only = replace(session, visits={STRONG: session.visits[STRONG]})
    assert cached(request, only.visits.get(FAST), now=case.age, cache=case.cache) == 0
    assert cached(WARM.request, WARM.visit, now=WARM.age, cache=WARM.cache) == 1_600


@given(gaps=st.lists(st.integers(0, 400), min_size=1, max_size=8))
def test_every_read_keeps_it_for_as_long_again(gaps: list[int]) -> None:
    now, request = 0.0, history(900, 700)
    visit = Visit.of(request, at=now)
    for gap in gaps:
        now += gap
        assert (cached(request, visit, now=now, cache=ROOMY) > 0) == (gap < 300)
        visit = Visit.of(request, at=now)


requests = st.lists(
    st.tuples(st.sampled_from([FAST, STRONG]), st.lists(st.integers(0, 1_500), min_size=1, max_size=2), st.integers(0, 400)), max_size=6
)


@pytest.mark.parametrize(
    ("make", "block"),
    [(AutomaticPrefixCache, BLOCK_TOKENS), (BreakpointPrefixCache, 1)],
    ids=["openai", "anthropic"],
)
@given(calls=requests)
def test_the_simulated_providers_count_the_same(
    make: type[AutomaticPrefixCache | BreakpointPrefixCache], block: int, calls: list[tuple[ModelName, list[int], int]]
) -> None:
    """Two models take turns on one growing history, and each is marked at its end where the provider wants marks."""
    cache = PromptCache(seconds_to_live=300.0, minimum_tokens=MINIMUM_TOKENS, block_tokens=block)
    served, session, tokens, now = make(), Session(id=SESSION), list[int](), 0.0
    for model, new, gap in calls:
        now += gap
        tokens += new
        request = history(*tokens)
        row = [Segment(header=f"step {at}", text="word" * one, breakpoint=_mark(at, tokens)) for at, one in enumerate(tokens)]
        really = served.use(("account", model), row, now).cached_input
        assert cached(request, session.visits.get(model), now=now, cache=cache) == really
        session = session.visited(model, request, at=now)


def _mark(at: int, tokens: list[int]) -> Any:
    assert len(tokens) < LOOKBACK
    return "5m" if at == len(tokens) - 1 else None


def test_other_rules_than_the_provider_s_are_found_out() -> None:
    served, row = AutomaticPrefixCache(), [Segment(header="", text="word" * 1_500)]
    served.use(("account", "model"), row, 0.0)
    really = served.use(("account", "model"), row, 299.0).cached_input
    visit = Visit.of(history(1_500), at=0.0)
    assert really == 1_408
    right = PromptCache(block_tokens=BLOCK_TOKENS)
    assert cached(history(1_500), visit, now=299.0, cache=right) == really
    changes: list[dict[str, Any]] = [{"block_tokens": 1}, {"block_tokens": 1_000}, {"minimum_tokens": 2_000}, {"seconds_to_live": 60.0}]
    for wrong in (replace(right, **change) for change in changes):
        assert cached(history(1_500), visit, now=299.0, cache=wrong) != really


@given(
    capacity=st.integers(1, 200),
    tokens_per_second=st.sampled_from([0.5, 1.0, 4.0, 8.0]),
    reads=st.lists(st.integers(0, 300), max_size=8),
)
def test_an_engine_keeps_a_token_for_its_cache_s_characteristic_time(capacity: int, tokens_per_second: float, reads: list[int]) -> None:
    """A cache that drops the least recently used token, under a stream of new ones; ours is read after each gap in `reads`."""
    cache = PromptCache.least_recently_used(capacity_tokens=capacity, tokens_per_second=tokens_per_second, block_tokens=1)
    assert cache.seconds_to_live == pytest.approx(capacity / tokens_per_second)
    kept, new, seconds = OrderedDict({"ours": None}), 0, 0.0
    visit, request = Visit.of(history(1), at=0.0), history(1)
    for gap in reads:
        for _ in range(gap):
            new += 1
            seconds += 1 / tokens_per_second
            kept[str(new)] = None
            if len(kept) > capacity:
                kept.popitem(last=False)
        assert (cached(request, visit, now=seconds, cache=cache) > 0) == ("ours" in kept)
        # A token of ours that is read again and was dropped takes another's place, at the same rate as before.
        kept["ours"] = None
        kept.move_to_end("ours")
        if len(kept) > capacity:
            kept.popitem(last=False)
        visit = Visit.of(request, at=seconds)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("capacity_tokens", -1),
        ("capacity_tokens", 1.5),
        ("capacity_tokens", 10**400),
        ("tokens_per_second", 0),
        ("tokens_per_second", -1.0),
        ("tokens_per_second", math.nan),
        ("tokens_per_second", 5e-324),
        ("block_tokens", 0),
        ("minimum_tokens", -1),
    ],
)
def test_a_wrong_engine_names_the_setting_and_the_rule(name: str, value: float) -> None:
    settings: dict[str, Any] = {"capacity_tokens": 600_000, "tokens_per_second": 1_500.0, name: value}
    with pytest.raises(ConfigurationError, match=f"`prompt_cache.{name}` is .*; give"):
        PromptCache.least_recently_used(**settings)


def test_an_engine_caches_blocks_of_sixteen_from_the_first_on() -> None:
    cache = PromptCache.least_recently_used(capacity_tokens=600_000, tokens_per_second=1_500.0)
    assert cache == PromptCache(seconds_to_live=400.0, minimum_tokens=0, block_tokens=16)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seconds_to_live", -1.0),
        ("seconds_to_live", math.nan),
        ("seconds_to_live", math.inf),
        ("minimum_tokens", -1),
        ("minimum_tokens", 10**400),
        ("block_tokens", 0),
        ("block_tokens", 1.5),
    ],
)
def test_a_setting_out_of_range_names_itself_and_the_rule(name: str, value: float) -> None:
    with pytest.raises(ConfigurationError, match=f"`prompt_cache.{name}` is {value!r}; give"):
        PromptCache(**{name: value})  # type: ignore[arg-type]
