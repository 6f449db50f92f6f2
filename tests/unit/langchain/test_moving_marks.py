"""Applications mark the last message of each request for Anthropic's cache, and unmark the one before it: it is cached all the same."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from session_router.core.prefix import PromptCache, cached_tokens
from session_router.core.session import Visit
from session_router.core.transcript import Transcript
from session_router_langchain.messages import MessageReader

CACHE = PromptCache(minimum_tokens=0)


def said(text: str, *, marked: bool = False) -> HumanMessage:
    block: dict[str, Any] = {"type": "text", "text": text}
    return HumanMessage([{**block, "cache_control": {"type": "ephemeral"}} if marked else block])


def read(*messages: BaseMessage) -> Transcript:
    return MessageReader(dict).read(messages)


def test_a_marker_that_moves_on_leaves_the_prefix_warm() -> None:
    first = read(said("long", marked=True))
    second = read(said("long"), AIMessage("Well."), said("go on", marked=True))
    visit = Visit.of(first, at=0.0)
    assert cached_tokens(second, visit, now=1.0, cache=CACHE) == first.tokens


def test_another_text_under_the_marker_is_another_prefix() -> None:
    visit = Visit.of(read(said("long", marked=True)), at=0.0)
    assert cached_tokens(read(said("other"), AIMessage("Well.")), visit, now=1.0, cache=CACHE) == 0
