"""What LangChain hands to a cache, read as plain JSON: nothing is ever loaded from it."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, cast

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from session_router_langchain.vocabulary import is_block

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.messages import BaseMessage

UNREADABLE: Final[Sequence[BaseMessage]] = ()
"""Messages that are not all understood."""

_KINDS: Final[Mapping[str, type[BaseMessage]]] = MappingProxyType(
    {
        "human": HumanMessage,
        "HumanMessageChunk": HumanMessage,
        "ai": AIMessage,
        "AIMessageChunk": AIMessage,
        "system": SystemMessage,
        "SystemMessageChunk": SystemMessage,
    }
)
"""By their `type`. Results of tools are not among them: what a tool said would be part of the answer."""

_READ: Final = ("content", "name", "tool_calls", "invalid_tool_calls", "additional_kwargs", "response_metadata")
_UNTOLD: Final = '"type": "not_implemented"'
"""What LangChain writes for an object that it cannot write down, and of which it says no more than an address at best."""

_ADDRESSES: Final = (_UNTOLD, " at 0x", "<class '")
"""What stands in the place of something whose contents nobody sees."""


def messages_in(prompt: str) -> Sequence[BaseMessage] | None:
    """Return the messages of a chat model's prompt; `None` when it is no list of messages, but a text for a model that completes.

    Args:
        prompt: As `langchain_core.load.dumps` writes a list of messages, or any text.

    Returns:
        New messages, without ids; `UNREADABLE` when one of them is a tool's result, or of a kind that is not known.
    """
    try:
        plain: object = json.loads(prompt)
    except (ValueError, RecursionError):
        return None
    if not isinstance(plain, list) or not plain or not any(map(_is_written, cast("list[object]", plain))):
        return None
    if _UNTOLD in prompt:
        return UNREADABLE
    messages = [_message(one) for one in cast("list[object]", plain)]
    return UNREADABLE if None in messages else cast("list[BaseMessage]", messages)


def tells_all(llm_string: str) -> bool:
    """Whether `llm_string` says all of what it speaks of: two models with other settings then have other strings."""
    return bool(llm_string) and not any(mark in llm_string for mark in _ADDRESSES)


def set_up_in(llm_string: str) -> str:
    """Return the part of `llm_string` that describes the model, without what was bound for the call where that stands apart."""
    return llm_string.partition("---")[0]


def _is_written(value: object) -> bool:
    """Whether LangChain wrote `value` for an object of its own."""
    return is_block(value) and value.get("lc") == 1 and isinstance(value.get("id"), list)


def _message(value: object) -> BaseMessage | None:
    if not is_block(value) or not _is_written(value) or value.get("type") != "constructor" or not is_block(value.get("kwargs")):
        return None
    fields: dict[str, Any] = value["kwargs"]
    kind = _KINDS.get(str(fields.get("type")))
    if kind is None:
        return None
    try:
        return kind(**{key: fields[key] for key in _READ if key in fields})
    except (ValueError, TypeError, RecursionError):
        return None
