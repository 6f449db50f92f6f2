"""How many tokens a message is estimated at: what a model reads of it, and that once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from session_router.testing.providers import count_tokens
from session_router_langchain.fingerprints import TOKENS_OF_ENVELOPE
from session_router_langchain.messages import step_of

ARGUMENTS = {"path": "ferryline/seats.py", "text": "with self._lock:\n    chosen = self._free[:count]\n" * 40}
SAID, THOUGHT = "I take the lock before I choose the seats.", "reserve() checks the seats before it takes the lock. " * 4
CALLS = [{"name": "write_file", "args": ARGUMENTS, "id": "call_000001", "type": "tool_call"}]
CALL = count_tokens("write_file" + json.dumps(ARGUMENTS, separators=(",", ":")))
PUNCTUATION = 8  # tokens: what stands around arguments


def asked(content: Any) -> AIMessage:
    return AIMessage(content, tool_calls=[dict(call) for call in CALLS])  # type: ignore[misc] # a tool call is a dictionary


def tokens(message: Any) -> int:
    return step_of(message, {}).tokens - TOKENS_OF_ENVELOPE


def in_chat_completions() -> AIMessage:
    return asked(SAID)


def in_responses(*, sealed: str = "") -> AIMessage:
    reasoning = {"id": "rs_4063986d5ecaf64f98158e0f", "summary": [{"type": "summary_text", "text": THOUGHT}], "type": "reasoning"}
    return asked(
        [
            {**reasoning, "encrypted_content": sealed} if sealed else reasoning,
            {"type": "text", "text": SAID, "annotations": [], "id": "msg_4c728564e5b667b3596c003e"},
            {
                "arguments": json.dumps(ARGUMENTS),
                "call_id": "call_000001",
                "name": "write_file",
                "type": "function_call",
                "id": "fc_9e0c0da131b274da450993ef",
                "status": "completed",
            },
        ]
    )


def in_messages(*, signature: str = "c8f3+SX75BxwPbPvdkD3pr3rQIAZc+3WyZB9eLKzBi8=") -> AIMessage:
    return asked(
        [
            {"signature": signature, "thinking": THOUGHT, "type": "thinking"},
            {"text": SAID, "type": "text"},
            {"id": "call_000001", "input": ARGUMENTS, "name": "write_file", "type": "tool_use", "toolset_name": None},
        ]
    )


def in_standard_blocks() -> AIMessage:
    return asked(
        [
            {"type": "reasoning", "reasoning": THOUGHT, "extras": {"signature": "x" * 400}, "index": 0},
            {"type": "text", "text": SAID, "index": 1},
            {**CALLS[0], "index": 2},
        ]
    )


@pytest.mark.parametrize(
    ("message", "read"),
    [
        (in_chat_completions(), SAID),
        (in_responses(), SAID + THOUGHT),
        (in_messages(), SAID + THOUGHT),
        (in_standard_blocks(), SAID + THOUGHT),
    ],
    ids=["chat", "responses", "messages", "standard"],
)
def test_an_answer_counts_as_what_a_model_reads_of_it(message: AIMessage, read: str) -> None:
    assert tokens(message) == pytest.approx(count_tokens(read) + CALL, abs=PUNCTUATION)


def test_counting_all_that_is_sent_would_count_calls_twice() -> None:
    sent = json.dumps(in_messages().content) + json.dumps(CALLS)
    assert count_tokens(sent) > 1.6 * tokens(in_messages())


@given(st.integers(0, 5_000))
def test_what_a_provider_sealed_is_no_text(length: int) -> None:
    seal = "A" * length
    assert tokens(in_messages(signature=seal)) == tokens(in_messages())
    assert tokens(in_responses(sealed=seal)) == tokens(in_responses())


@given(st.text(max_size=200), st.text(max_size=200))
def test_ids_are_no_text(one: str, other: str) -> None:
    assert tokens(ToolMessage("sunny", tool_call_id=one)) == tokens(ToolMessage("sunny", tool_call_id=other))


@given(st.text(max_size=500))
def test_text_counts_the_same_in_a_block_and_by_itself(text: str) -> None:
    assert tokens(HumanMessage([{"type": "text", "text": text}])) == tokens(HumanMessage(text)) == count_tokens(text)


def test_blocks_that_nobody_knows_count_as_what_they_hold() -> None:
    found = tokens(HumanMessage([{"type": "search_result", "id": "x", "content": [{"type": "text", "text": "y" * 4_000}], "score": 0.5}]))
    assert found == pytest.approx(1_000, abs=2)


def test_a_call_without_an_id_hides_nothing() -> None:
    message = AIMessage([{"type": "text", "text": "x" * 4_000}], tool_calls=[{"name": "f", "args": {}, "id": None, "type": "tool_call"}])
    assert tokens(message) >= 1_000
