"""Histories that no provider would take, made whole for one request: calls without results, results without calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from session_router.core.step import AskKind
from session_router_langchain.bindings import is_computer_output
from session_router_langchain.blocks import answers_of, asks_of, client_ask_id
from session_router_langchain.checking import check_messages
from session_router_langchain.rewriting import describe_tool, screen, standard, text_block
from session_router_langchain.vocabulary import THOUGHTS, is_anthropic_result, is_block, kept_aside, kind_of, native, native_blocks, text_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

UNKNOWN_OUTCOME = "The outcome of this call is unknown: it may or may not have run."
_RUNS_ON_PROVIDER = frozenset({"server_tool_use", "mcp_tool_use", "server_tool_call"})


def repair(messages: Sequence[BaseMessage], *, continued: bool = False, abandoned: bool = False) -> Sequence[BaseMessage]:
    """Return a history that every provider takes, for one request.

    - A call that nobody answered before the conversation went on gets a result that says so.
    - A result comes right behind its call, once; one whose call is gone becomes text.
    - A client block, or a provider's paused tool, that the conversation left behind becomes text.
    - Calls at the very end are left alone: the framework is about to run them.

    Args:
        messages: The history.
        continued: Whether the provider holds what was before it: results at its beginning then answer calls over there.
        abandoned: Whether the calls at the very end will not be run either: a model is about to be asked.

    Returns:
        The very same sequence when there is nothing to repair.

    Raises:
        ConfigurationError: The messages are none.
    """
    check_messages(messages)
    repaired: list[BaseMessage] = []
    index = 0
    finished = _finished_server_calls(messages)
    while index < len(messages):
        end = index + 1
        while end < len(messages) and not isinstance(messages[end], AIMessage):
            end += 1
        first = messages[index]
        if isinstance(first, AIMessage):
            goes_on = abandoned or end < len(messages)
            repaired.extend(_exchange(first, messages[index + 1 : end], goes_on=goes_on, finished=finished))
        else:
            repaired.extend(messages[index:end] if continued else map(_unasked, messages[index:end]))
        index = end
    unchanged = len(repaired) == len(messages) and all(new is old for new, old in zip(repaired, messages, strict=True))
    return messages if unchanged else repaired


def _exchange(message: AIMessage, following: Sequence[BaseMessage], *, goes_on: bool, finished: AbstractSet[str]) -> list[BaseMessage]:
    """Put `message`, its results and the rest in an order that providers take."""
    asks = asks_of(message)
    waiting = {ask.id: ask.kind for ask in asks if ask.kind is not AskKind.SERVER_TOOL}
    answers: list[BaseMessage] = []
    rest: list[BaseMessage] = []
    spoken = False
    for one in following:
        answered = waiting.keys() & set(answers_of(one))
        if answered:
            answers.append(one)
            for id_ in answered:
                del waiting[id_]
        else:
            rest.append(_unasked(one))
            spoken = spoken or isinstance(rest[-1], HumanMessage)
    if not (goes_on or spoken):
        return [message, *answers, *rest]
    left_behind = {id_ for id_, kind in waiting.items() if kind is AskKind.CLIENT_BLOCK}
    if spoken:
        left_behind |= {ask.id for ask in asks if ask.kind is AskKind.SERVER_TOOL and ask.id not in finished}
    names = {call["id"]: call["name"] for call in (*message.tool_calls, *message.invalid_tool_calls)}
    unknown = (
        ToolMessage(UNKNOWN_OUTCOME, tool_call_id=id_, name=names.get(id_), status="error")
        for id_, kind in waiting.items()
        if kind is not AskKind.CLIENT_BLOCK
    )
    return [_without_asks(message, left_behind), *answers, *unknown, *rest]


def _unasked(message: BaseMessage) -> BaseMessage:
    """Return a result whose call is not in the history as text; everything else as it is."""
    if not isinstance(message, ToolMessage):
        return message
    told: list[Any] = [text_block(f"[{message.name or 'A tool'} answered a call that is no longer part of this conversation:]")]
    if isinstance(message.content, str):
        told.append(screen(message.content) if is_computer_output(message) else text_block(message.content or "(nothing)"))
    else:
        for block in message.content:
            told.extend(standard(native(block)) if is_block(block) else [text_block(str(block))])
    return HumanMessage(told, id=message.id)


def _finished_server_calls(messages: Sequence[BaseMessage]) -> set[str]:
    finished: set[str] = set()
    for message in messages:
        if isinstance(message, AIMessage) and isinstance(message.content, list):
            for block in native_blocks(message):
                if is_anthropic_result(kind_of(block)):
                    finished.add(text_of(block.get("tool_use_id")))
                elif kind_of(block) == "server_tool_result":
                    finished.add(text_of(block.get("tool_call_id")))
    return finished


def _without_asks(message: AIMessage, ids: AbstractSet[str]) -> AIMessage:
    """Tell the blocks that ask under `ids` as text."""
    if not ids:
        return message
    content: list[Any] = []
    told = False
    for block in message.content if isinstance(message.content, list) else [text_block(message.content)] if message.content else []:
        if is_block(block) and _asks_under(native(block), ids):
            # A thought that led to this item is refused without it.
            while content and is_block(content[-1]) and kind_of(native(content[-1])) in THOUGHTS:
                content.pop()
            content.append(_told(native(block)))
            told = True
        else:
            content.append(block)
    update: dict[str, Any] = {}
    kept = kept_aside(message)
    if any(_asks_under(item, ids) for item in kept):
        told = True
        content.extend(_told(item) for item in kept if _asks_under(item, ids))
        # `reasoning` stands for the thought that led to the item, as above.
        extra = {key: value for key, value in message.additional_kwargs.items() if key != "reasoning"}
        update["additional_kwargs"] = {**extra, "tool_outputs": [item for item in kept if not _asks_under(item, ids)]}
    return message.model_copy(update={**update, "content": content}) if told else message


def _asks_under(block: dict[str, Any], ids: AbstractSet[str]) -> bool:
    asked = client_ask_id(block) or (text_of(block.get("id")) if kind_of(block) in _RUNS_ON_PROVIDER else "")
    return asked in ids


def _told(block: dict[str, Any]) -> dict[str, Any]:
    return text_block(f"{describe_tool(block, {}).removesuffix(']')}; it was never finished]")
