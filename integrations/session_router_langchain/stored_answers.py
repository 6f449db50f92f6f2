"""Answers to messages and back: what the cache keeps of a message, and the new message that replays it."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, cast

from langchain_core.messages import AIMessage, AIMessageChunk

from session_router.core.cached import NO_USAGE, CachedAnswer
from session_router.core.pricing import NOTHING, call_cost
from session_router_langchain.blocks import asks_of
from session_router_langchain.outcomes import stamped
from session_router_langchain.vocabulary import is_block

if TYPE_CHECKING:
    from collections.abc import Mapping

    from session_router.core.cached import Content
    from session_router.core.call import Outcome
    from session_router.core.decision import Decision
    from session_router.core.model import ModelName, ModelSpec
    from session_router.core.pricing import Prices, Usage

_THOUGHTS = frozenset({"thinking", "redacted_thinking", "reasoning"})
"""Blocks that are no part of an answer, and belong to the model that wrote them."""

_THOUGHTS_BESIDE = frozenset({"reasoning", "reasoning_content"})
"""What of a message's `additional_kwargs` is no part of the answer."""

_ENDINGS = ("finish_reason", "stop_reason", "status")
"""Keys under which providers say how an answer ended: Chat Completions and Gemini, Anthropic, Responses."""

_SOURCES = ("annotations", "citations", "grounding_metadata", "search_results", "executed_tools", "url_context_metadata")
"""Keys under which providers name what they have searched: in blocks, or beside a text (Gemini, Perplexity, Groq)."""


def answer_of(message: AIMessage, decision: Decision, outcome: Outcome, specs: Mapping[ModelName, ModelSpec]) -> CachedAnswer:
    """Return what a cache may keep of `message`, the whole answer to what it missed for `decision`."""
    model = outcome.model or decision.chosen()
    return answer_in(message, model=model, prices=specs[model].prices, usage=outcome.usage, asked_at=decision.at, at=outcome.at)


def answer_in(
    message: AIMessage, *, model: ModelName, prices: Prices | None, usage: Usage | None, asked_at: float, at: float
) -> CachedAnswer:
    """Return what a cache may keep of `message`, a whole answer.

    Args:
        message: The answer.
        model: Who gave it.
        prices: Of that model, if they are known.
        usage: What it took, if the provider said so.
        asked_at: POSIX seconds of the question.
        at: POSIX seconds at which the answer was complete.
    """
    finish = next((said for key in _ENDINGS if isinstance(said := message.response_metadata.get(key), str)), None)
    return CachedAnswer(
        content=_said(message),
        model=model,
        at=at,
        usage=usage or NO_USAGE,
        cost=NOTHING if prices is None or usage is None else call_cost(prices, usage),
        seconds=max(0.0, at - asked_at),
        finish_reason=finish,
        complete=not isinstance(message, AIMessageChunk) or message.chunk_position == "last",
        tool_calls=bool(message.tool_calls or message.invalid_tool_calls or asks_of(message)),
        tool_derived=any(map(_cites, (*message.content, message.additional_kwargs, message.response_metadata))),
    )


def is_told_whole(message: AIMessage) -> bool:
    """Whether its content and its calls are all of `message` that whoever asked for it would miss in a new one.

    A label that a model puts on its answer is part of it, and so is what its provider's tools have done.
    """
    if asks_of(message):
        return True
    beside = {key for key, value in message.additional_kwargs.items() if value and key not in _THOUGHTS_BESIDE}
    return not (beside - {"refusal"} if not message.text else beside) and not message.response_metadata.get("logprobs")


def _cites(block: object) -> bool:
    """Whether a block, or what stands beside the content, names sources: its provider has searched for them."""
    return is_block(block) and any(block.get(key) for key in _SOURCES)


def _said(message: AIMessage) -> Content:
    content: object = message.content
    if isinstance(content, str):
        return content
    blocks = cast("list[str | dict[str, Any]]", content)
    whole = [{"type": "text", "text": block} if isinstance(block, str) else block for block in blocks]
    return tuple(block for block in whole if block.get("type") not in _THOUGHTS)


def said_in(message: AIMessage) -> str | None:
    """Return what `message` says in plain text, without thoughts; `None` where it holds anything else, or names sources."""
    content = _said(message)
    if isinstance(content, str):
        return content
    texts = [None if block.get("type") != "text" or _cites(block) else block.get("text") for block in content]
    return "".join(cast("list[str]", texts)) if all(isinstance(text, str) for text in texts) else None


def replayed(decision: Decision) -> AIMessage:
    """Return the stored answer of `decision` as a new message: with a fresh id, no usage, and nothing of a provider's state.

    Nobody is its author: the session goes on where it was. The model that once wrote it stands in our own facts.
    """
    hit = decision.hit
    if hit is None:
        msg = "there is no stored answer to replay"
        raise ValueError(msg)
    return stamped(message_of(hit.answer), decision, None)


def message_of(answer: CachedAnswer) -> AIMessage:
    """Return a stored answer as a new message, without our facts."""
    content = answer.content
    return AIMessage(
        content=content if isinstance(content, str) else [dict(block) for block in content],
        id=str(uuid.uuid4()),
        usage_metadata={"input_tokens": 0, "output_tokens": 0, "total_tokens": 0},
    )
