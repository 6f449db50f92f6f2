"""Vectors that are remembered: the same as without, for as long as there is room, and without the texts."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from session_router.embedders.caching import CachingEmbedder
from session_router.errors import ConfigurationError, EmbedderUnavailable
from support.counting_embedder import CountingEmbedder

if TYPE_CHECKING:
    from collections.abc import Sequence

REQUESTS = st.lists(st.lists(st.sampled_from(["", "a", "b", "c", "d", "\ud800", "\udfff", "?"]), max_size=6), max_size=12)


def through(embedder: CachingEmbedder, texts: Sequence[str], *, asynchronous: bool) -> np.ndarray:
    return asyncio.run(embedder.aembed(texts)) if asynchronous else embedder.embed(texts)


@settings(max_examples=60, deadline=None)
@given(requests=REQUESTS, entries=st.integers(1, 5), asynchronous=st.booleans())
def test_rows_are_those_of_the_bare_embedder(requests: list[list[str]], entries: int, *, asynchronous: bool) -> None:
    bare, cached = CountingEmbedder(), CachingEmbedder(CountingEmbedder(), maximum_entries=entries)
    for texts in requests:
        rows = through(cached, texts, asynchronous=asynchronous)
        np.testing.assert_array_equal(rows, bare.embed(texts))
        assert rows.dtype == np.float32
        assert len(cached) <= entries


@settings(max_examples=60, deadline=None)
@given(requests=REQUESTS, entries=st.integers(1, 5), asynchronous=st.booleans())
def test_what_is_asked_is_what_a_least_recently_used_cache_lacks(requests: list[list[str]], entries: int, *, asynchronous: bool) -> None:
    inner = CountingEmbedder()
    cached = CachingEmbedder(inner, maximum_entries=entries)
    kept: OrderedDict[str, None] = OrderedDict()
    for texts in requests:
        inner.calls.clear()
        through(cached, texts, asynchronous=asynchronous)
        lacking = [text for text in dict.fromkeys(texts) if text not in kept]
        assert inner.calls == ([lacking] if lacking or not texts else [])
        for text in [*(text for text in texts if text in kept), *lacking]:
            kept[text] = None
            kept.move_to_end(text)
        while len(kept) > entries:
            kept.popitem(last=False)
        assert len(cached) == len(kept)


def test_no_text_is_kept() -> None:
    secret = "the password of this test"
    cached = CachingEmbedder(CountingEmbedder(remembers=False))
    cached.embed([secret, "other"])

    def texts_below(root: object) -> list[str]:
        seen, found, below = set(), [], [root]
        while below:
            one = below.pop()
            if id(one) not in seen and not isinstance(one, (type, type(gc))) and not callable(one):
                seen.add(id(one))
                found += [one] if isinstance(one, str) else [one.decode(errors="ignore")] if isinstance(one, bytes) else []
                below += gc.get_referents(one)
        return found

    assert any("counting" in text for text in texts_below(cached))  # the walk finds what is there
    assert not any(secret in text for text in texts_below(cached))
    assert any(secret in text for text in texts_below(CountingEmbedder(asked=[[secret]])))


def test_digests_of_two_instances_differ() -> None:
    first, second = CachingEmbedder(CountingEmbedder()), CachingEmbedder(CountingEmbedder())
    assert first._digest("a") == first._digest("a") != second._digest("a")


def test_a_row_does_not_keep_the_answer_that_it_came_with() -> None:
    cached = CachingEmbedder(CountingEmbedder(), maximum_entries=1)
    cached.embed([str(number) for number in range(1000)])
    (kept,) = cached._vectors.values()
    assert kept.base is None
    assert kept.size == cached.dimension


def test_a_failure_is_not_remembered() -> None:
    inner = CountingEmbedder()
    cached = CachingEmbedder(inner)
    cached.embed(["a"])
    inner.fails = True
    with pytest.raises(EmbedderUnavailable):
        cached.embed(["a", "b"])
    assert cached.embed(["a"]).shape == (1, inner.dimension)
    inner.fails = False
    np.testing.assert_array_equal(cached.embed(["a", "b"]), CountingEmbedder().embed(["a", "b"]))


def test_many_threads_and_little_room() -> None:
    cached, bare = CachingEmbedder(CountingEmbedder(), maximum_entries=3), CountingEmbedder()
    texts = [str(number) for number in range(7)]
    start = threading.Barrier(8)

    def work(shift: int) -> bool:
        start.wait()
        asked = [[texts[(shift * turn + place) % 7] for place in range(4)] for turn in range(200)]
        return all(np.array_equal(cached.embed(one), bare.embed(one)) for one in asked)

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(work, range(8)))
    assert len(cached) == 3


def test_room_for_nothing_is_no_setting() -> None:
    with pytest.raises(ConfigurationError, match="`maximum_entries` is 0"):
        CachingEmbedder(CountingEmbedder(), maximum_entries=0)
