"""How much of a request a provider should still hold."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from session_router.core.prefix import PromptCache, cached_tokens
from session_router.core.session import Session, Visit
from session_router.core.transcript import Prefix, Transcript
from session_router.errors import ConfigurationError
from values import FAST, SESSION, STRONG, call_of, human, router, spec, system, tool, transcript

CACHE = PromptCache(seconds_to_live=300.0, minimum_tokens=1_000)
LONG = transcript(human(tokens=900), tool("a", tokens=200))
READ = Session(id=SESSION).visited(STRONG, LONG, at=1_000.0).visits[STRONG]


def cached(later: Transcript, visit: Visit | None = READ, *, now: float = 1_100.0) -> int:
    return cached_tokens(later, visit, now=now, cache=CACHE)


def test_what_was_read_a_moment_ago_is_warm() -> None:
    assert cached(LONG) == 1_100
    assert cached(LONG.extended([human("more", tokens=5_000)])) == 1_100


def test_never_read_is_cold() -> None:
    assert cached(LONG, None) == 0


@pytest.mark.parametrize(("now", "tokens"), [(1_000.0, 1_100), (1_300.0, 1_100), (1_300.5, 0), (999.0, 0), (math.nan, 0)])
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


@pytest.mark.parametrize(
    ("name", "value"),
    [("seconds_to_live", -1.0), ("seconds_to_live", math.nan), ("seconds_to_live", math.inf), ("minimum_tokens", -1)],
)
def test_a_setting_out_of_range_names_itself_and_the_rule(name: str, value: float) -> None:
    with pytest.raises(ConfigurationError, match=f"`prompt_cache.{name}` is {value!r}; give"):
        PromptCache(**{name: value})  # type: ignore[arg-type]
