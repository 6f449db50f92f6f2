"""What LangChain messages ask for, and what they answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from session_router.core.step import Ask, AskKind, new_ask
from session_router_langchain.vocabulary import (
    OPENAI_CLIENT_ANSWERS,
    OPENAI_CLIENT_CALLS,
    kind_of,
    native_blocks,
    text_of,
    unfinished_server_calls,
)

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

    from session_router_langchain.vocabulary import Block


def asks_of(message: AIMessage) -> tuple[Ask, ...]:
    """Return what `message` waits for, in order: calls, unparsable calls, client blocks, unfinished server tools."""
    asks = [new_ask(id=call["id"] or "") for call in message.tool_calls]
    asks.extend(new_ask(id=call["id"], kind=AskKind.INVALID_CALL) for call in message.invalid_tool_calls if call["id"])
    if isinstance(message.content, list) or message.additional_kwargs:
        blocks = list(native_blocks(message))
        answered = {answer for block in blocks if (answer := _client_answer(block))}
        client = (client_ask_id(block) for block in blocks)
        asks.extend(new_ask(id=id_, kind=AskKind.CLIENT_BLOCK) for id_ in client if id_ is not None and id_ not in answered)
        asks.extend(new_ask(id=id_, kind=AskKind.SERVER_TOOL) for id_ in unfinished_server_calls(message, blocks))
    if message.response_metadata.get("stop_reason") == "pause_turn" and not any(ask.kind is AskKind.SERVER_TOOL for ask in asks):
        asks.append(new_ask(id=message.id or "pause_turn", kind=AskKind.SERVER_TOOL))
    return tuple(asks)


def answers_of(message: BaseMessage) -> tuple[str, ...]:
    """Return the ids that `message` answers: a tool result, or a client block that a human answers."""
    if isinstance(message, ToolMessage):
        answered = [message.tool_call_id] if message.tool_call_id else []
    elif isinstance(message, HumanMessage):
        answered = list[str]()
    else:
        return ()
    if isinstance(message.content, list):
        answered.extend(answer for block in native_blocks(message) if (answer := _client_answer(block)))
    return tuple(dict.fromkeys(answered))


def client_ask_id(block: Block) -> str | None:
    """Return the id under which the application must answer `block`; `None` when it asks for nothing."""
    kind = kind_of(block)
    if kind == "mcp_approval_request":
        return text_of(block.get("id"))
    if kind in OPENAI_CLIENT_CALLS or (kind == "tool_search_call" and block.get("execution") == "client"):
        return text_of(block.get("call_id")) or text_of(block.get("id"))
    return None


def _client_answer(block: Block) -> str:
    kind = kind_of(block)
    if kind == "mcp_approval_response":
        return text_of(block.get("approval_request_id"))
    if kind in OPENAI_CLIENT_ANSWERS or (kind == "tool_search_output" and block.get("execution") == "client"):
        return text_of(block.get("call_id"))
    return text_of(block.get("tool_use_id")) if kind == "tool_result" else ""
