"""Caches account exactly. Every number here is worked out by hand: a text of n bytes is ceil(n / 4) tokens."""

# ruff: noqa: ANN001, ANN002, ANN003, ANN201, ANN202 -- fixtures and cases say what they are

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_router.testing.providers import count_tokens
from session_router.testing.providers.prefix_cache import AutomaticPrefixCache, BreakpointPrefixCache
from session_router.testing.providers.tokens import Segment

MARK = {"type": "ephemeral"}
HOUR = {"type": "ephemeral", "ttl": "1h"}
OWNER = ("account", "model")


def words(tokens, letter="x"):
    return letter * (4 * tokens)


def user(*blocks):
    return [
        {"role": "user", "content": [{"type": "text", "text": text, **({"cache_control": mark} if mark else {})} for text, mark in blocks]}
    ]


def usage(call, messages, **extra):
    found = call.ok("messages", messages=messages, **extra)["usage"]
    return found["input_tokens"], found["cache_creation_input_tokens"], found["cache_read_input_tokens"]


def test_tokens_are_quarter_bytes_rounded_up():
    assert [count_tokens(text) for text in ("", "a", "abcd", "abcde", "你好")] == [0, 1, 1, 2, 2]


def test_openai_caches_whole_blocks_from_1024_tokens(call):
    def cached(tokens, letter="x", **extra):
        content = [{"role": "user", "content": words(tokens, letter)}]
        return call.ok("chat", messages=content, **extra)["usage"]["prompt_tokens_details"]["cached_tokens"]

    assert cached(1023) == 0
    assert cached(1023) == 0  # too short to cache
    assert cached(1300) == 0
    assert cached(1300) == 1280  # ten blocks of 128
    assert cached(2000) == 1280
    assert cached(1024) == 1024
    assert cached(1300, "y") == 0
    assert cached(1300, key="account-b") == 0
    assert cached(1300, model="sim-strong") == 0
    call.providers.clock.advance(299)
    assert cached(1300) == 1280
    call.providers.clock.advance(299)
    assert cached(1300) == 1280  # reading kept it alive
    call.providers.clock.advance(301)
    assert cached(1300) == 0


def test_both_openai_apis_cache_and_each_counts_its_own_form(call):
    call.ok("responses", input=words(2048))
    found = call.ok("responses", input=words(2048))["usage"]
    assert (found["input_tokens"], found["input_tokens_details"]["cached_tokens"]) == (2048, 2048)


def test_anthropic_caches_up_to_a_mark(call):
    messages = user((words(1500), MARK), (words(100, "q"), None))
    assert usage(call, messages) == (100, 1500, 0)
    assert usage(call, messages) == (100, 0, 1500)
    assert usage(call, messages, key="account-b") == (100, 1500, 0)
    assert usage(call, messages, model="sim-claude-2") == (100, 1500, 0)
    assert usage(call, user((words(1500), None), (words(100, "q"), None))) == (1600, 0, 0)  # no mark, no reading
    assert usage(call, user((words(1023), MARK))) == (1023, 0, 0)
    call.providers.clock.advance(301)
    assert usage(call, messages) == (100, 1500, 0)


def test_anthropic_extends_a_prefix_as_the_conversation_grows(call):
    system = [{"type": "text", "text": words(1200), "cache_control": MARK}]
    assert usage(call, user((words(50), MARK)), system=system) == (0, 1250, 0)
    longer = [
        *user((words(50), None)),
        {"role": "assistant", "content": words(30, "a")},
        *user((words(20, "b"), MARK)),
    ]
    assert usage(call, longer, system=system) == (0, 50, 1250)


def test_anthropic_reads_no_prefix_beyond_its_lookback(call):
    assert usage(call, user((words(1200), MARK))) == (0, 1200, 0)
    near = [(words(1200), None), *[("tail", None)] * 18, ("mark", MARK)]
    far = [(words(1200), None), *[("tale", None)] * 19, ("mark", MARK)]
    assert usage(call, user(*near)) == (0, 19, 1200)
    assert usage(call, user(*far)) == (0, 1220, 0)


def test_anthropic_keeps_what_is_marked_for_an_hour(call):
    messages = user((words(1500), HOUR), (words(200, "b"), MARK))
    detail = call.ok("messages", messages=messages)["usage"]["cache_creation"]
    assert detail == {"ephemeral_1h_input_tokens": 1500, "ephemeral_5m_input_tokens": 200}
    call.providers.clock.advance(301)
    assert usage(call, messages) == (0, 200, 1500)
    call.providers.clock.advance(3601)
    assert usage(call, messages) == (0, 1700, 0)


def test_the_automatic_form_marks_the_last_block(call):
    assert usage(call, user((words(1500), None)), cache_control=MARK) == (0, 1500, 0)
    assert usage(call, user((words(1500), None)), cache_control=MARK) == (0, 0, 1500)


def test_the_ledger_bills_what_was_used(call):
    messages = user((words(2000), MARK), (words(100, "q"), None))
    call.ok("messages", messages=messages)
    call.ok("messages", messages=messages)
    first, second = call.providers.ledger.rows
    answer = "You said: " + messages[0]["content"][0]["text"] + "\n" + messages[0]["content"][1]["text"]
    output = math.ceil(len(answer) / 4)
    assert (first.uncached_input, first.cache_written, first.cached_input, first.output) == (100, 2000, 0, output)
    assert (second.uncached_input, second.cache_written, second.cached_input) == (100, 0, 2000)
    assert first.dollars == pytest.approx((100 * 3.00 + 2000 * 3.75 + output * 15.00) / 1_000_000)
    assert second.dollars == pytest.approx((100 * 3.00 + 2000 * 0.30 + output * 15.00) / 1_000_000)
    totals = call.providers.ledger.totals(model="sim-claude")
    assert (totals.requests, totals.cached_input, totals.dollars) == (2, 2000, pytest.approx(first.dollars + second.dollars))


segments = st.lists(
    st.builds(
        Segment,
        header=st.sampled_from("ab"),
        text=st.integers(0, 5000).map(lambda size: "z" * size),
        breakpoint=st.sampled_from([None, "5m", "1h"]),
        media=st.booleans(),
    ),
    max_size=6,
)


@given(segments, st.floats(0, 10_000))
def test_no_cache_loses_or_invents_tokens(row, later):
    total = sum(segment.tokens for segment in row)
    for cache in (AutomaticPrefixCache(), BreakpointPrefixCache()):
        cold = cache.use(OWNER, row, 0.0)
        warm = cache.use(OWNER, row, 0.0)
        assert cold.input == warm.input == cache.use(OWNER, row, later).input == total
        assert cold.cached_input == 0
        assert warm.written == 0
        assert warm.cached_input in {0, cold.written} or isinstance(cache, AutomaticPrefixCache)
        assert cache.use(("other", "model"), row, 0.0).cached_input == 0
