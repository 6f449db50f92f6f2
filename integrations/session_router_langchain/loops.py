"""A running tool loop told as text, for a model that would not take it up as its own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from session_router_langchain.bindings import signature_of
from session_router_langchain.rewriting import standard, text_block
from session_router_langchain.vocabulary import is_block, kind_of, native, text_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.messages import BaseMessage


def loop_as_text(messages: Sequence[BaseMessage], own: Sequence[bool]) -> tuple[int, list[BaseMessage]] | None:
    """Rewrite the running tool loop of another model as one human message, if and only if it must be.

    With `thinking={"type": "enabled"}` Anthropic demands that the assistant's last message before tool results
    begins with a thought that the same model signed. Nobody else can write one.

    Args:
        messages: The history; foreign thinking is already gone from it.
        own: For each message, whether the target itself wrote it.

    Returns:
        Index of the first message of the loop, and the new history; `None` when it can stay.
    """
    start = _start_of_loop(messages)
    if start is None:
        return None
    running = range(start, len(messages))
    foreign = (index for index in running if isinstance(messages[index], AIMessage) and not own[index])
    if not any(not _begins_with_thought(messages[index]) for index in foreign):
        return None
    told: list[Any] = [text_block("Another assistant has begun to work on this. What happened so far:")]
    after: list[BaseMessage] = []
    for message in messages[start:]:
        if isinstance(message, AIMessage):
            told.extend(map(text_block, _said(message)))
        elif isinstance(message, ToolMessage):
            told.extend(_answered(message))
        else:
            after.append(message)
    return start, [*messages[:start], HumanMessage(told), *after]


def _start_of_loop(messages: Sequence[BaseMessage]) -> int | None:
    """Index of the first message of the assistant's turn that ends in tool results; `None` when there is none."""
    last = max((index for index, message in enumerate(messages) if isinstance(message, AIMessage)), default=None)
    if last is None or not any(isinstance(message, ToolMessage) for message in messages[last + 1 :]):
        return None
    start = last
    while True:
        before = start - 1
        # What humans say right after tool results, however often, reaches the provider in the same message as they do.
        while before >= 0 and isinstance(messages[before], HumanMessage):
            before -= 1
        joined = before >= 0 and isinstance(messages[before], ToolMessage if before < start - 1 else AIMessage | ToolMessage)
        if not joined:
            return start
        start = before


def says_nothing(message: BaseMessage) -> bool:
    """Whether an answer has neither words nor calls: Anthropic's client leaves it out, and what stands around it comes together."""
    if not isinstance(message, AIMessage) or message.tool_calls or message.invalid_tool_calls:
        return False
    if isinstance(message.content, str):
        return not message.content
    return not any(_is_something(block) for block in message.content)


def _is_something(block: object) -> bool:
    if not is_block(block):
        return bool(str(block).strip())
    return kind_of(block) != "text" or bool(text_of(block.get("text")).strip())


def _begins_with_thought(message: BaseMessage) -> bool:
    first: object = message.content[0] if isinstance(message.content, list) and message.content else None
    if not is_block(first):
        return False
    block = native(first)
    return kind_of(block) in {"thinking", "redacted_thinking"} or (kind_of(block) == "reasoning" and bool(signature_of(block)))


def _said(message: AIMessage) -> list[str]:
    said = [f"[it said: {message.text}]"] if message.text.strip() else []
    said.extend(
        f"[it called {call['name']} with {json.dumps(call['args'], ensure_ascii=False, default=str)}]" for call in message.tool_calls
    )
    said.extend(f"[it called {call['name']} with arguments that could not be read]" for call in message.invalid_tool_calls)
    return said


def _answered(message: ToolMessage) -> list[Any]:
    outcome = "failed with" if message.status == "error" else "answered"
    name = message.name or "the tool"
    if isinstance(message.content, str):
        return [text_block(f"[{name} {outcome}: {message.content}]")]
    parts: list[Any] = [text_block(f"[{name} {outcome}:]")]
    for block in message.content:
        parts.extend(standard(native(block)) if is_block(block) else [text_block(str(block))])
    return parts
