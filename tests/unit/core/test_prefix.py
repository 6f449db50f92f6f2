"""How much of a request a provider should still hold."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from session_router.core.prefix import PromptCache, cached_tokens
from session_router.core.session import Session, Visit
from session_router.core.transcript import Prefix, Transcript
from values import SESSION, STRONG, human, system, tool, transcript

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
