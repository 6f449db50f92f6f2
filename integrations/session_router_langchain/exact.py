"""What keys are made of: digests that tell everything, in the same way in every process, or none at all."""

from __future__ import annotations

import contextlib
import hashlib
import json
import weakref
from typing import TYPE_CHECKING, Any, Final, NoReturn, cast

from langchain_core.messages import AIMessage, BaseMessage, ChatMessage, ToolMessage
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from session_router.core.step import DIGEST_BYTES
from session_router_langchain.cache_markers import MARKER
from session_router_langchain.vocabulary import is_block

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SENT_BESIDE: Final = ("function_call", "tool_calls", "audio", "refusal", "name", "__openai_role__")
"""Keys of `additional_kwargs` from which clients make a part of what they send."""


class Untold(Exception):
    """A value that does not tell all of itself: an object of which there is no more than an address, or a name."""


def _untold(value: object) -> NoReturn:
    raise Untold(type(value).__name__)


_JSON: Final = json.JSONEncoder(sort_keys=True, ensure_ascii=False, default=_untold)
_COMPARED: Final = json.JSONEncoder(sort_keys=True, ensure_ascii=False, default=repr)


def told(value: object) -> bytes:
    """Return `value` as JSON with sorted keys.

    Raises:
        Untold: There is something in it that JSON has no words for, or it is too deep.
    """
    try:
        return _JSON.encode(value).encode("utf-8", "surrogatepass")
    except (RecursionError, TypeError, ValueError) as error:
        raise Untold(type(value).__name__) from error


def compared(value: object) -> bytes:
    """Return `value` as JSON with sorted keys, to be compared with others in this process; what JSON has no words for counts by its `repr`.

    Raises:
        Untold: It is too deep, or holds keys that do not compare.
    """
    try:
        return _COMPARED.encode(value).encode("utf-8", "surrogatepass")
    except (RecursionError, TypeError, ValueError) as error:
        raise Untold(type(value).__name__) from error


def digest(before: bytes, value: object) -> bytes:
    """Return a digest of `value` and of what was digested before it.

    Raises:
        Untold: As `told`.
    """
    return hashlib.blake2b(before + told(value), digest_size=DIGEST_BYTES).digest()


class ExactReader:
    """Digests of messages and tools, all of each that a provider reads.

    An object is digested once, and again when it has been changed in place. Safe to use from many threads.
    """

    def __init__(self) -> None:
        self._read: dict[int, tuple[weakref.ref[Any], object, bytes]] = {}

    def messages(self, messages: Sequence[BaseMessage]) -> bytes:
        """Return a digest of `messages`.

        Raises:
            Untold: One of them cannot be told.
        """
        return hashlib.blake2b(b"".join(map(self.message, messages)), digest_size=DIGEST_BYTES).digest()

    def message(self, message: BaseMessage) -> bytes:
        """Return a digest of `message`.

        Raises:
            Untold: It cannot be told.
        """
        return self._digest(message, _parts_of(message), lambda: _unmarked_parts(_parts_of(message)))

    def tools(self, tools: Sequence[Any]) -> bytes:
        """Return a digest of `tools`.

        Raises:
            Untold: One of them cannot be told.
        """
        return hashlib.blake2b(b"".join(map(self._tool, tools)), digest_size=DIGEST_BYTES).digest()

    def _tool(self, tool: Any) -> bytes:  # noqa: ANN401 -- tools come in many types
        if is_block(tool):
            return digest(b"provider's", _unmarked(tool))
        parts = [tool.name, tool.description, tool.args_schema, tool.extras, tool.metadata] if isinstance(tool, BaseTool) else tool
        return self._digest(tool, parts, lambda: _schema_of(tool))

    def _digest(self, owner: object, parts: object, telling: Callable[[], object]) -> bytes:
        key, table = id(owner), self._read
        known = table.get(key)
        if known is not None and known[0]() is owner and _are_equal(known[1], parts):
            return known[2]
        made = digest(b"", telling())

        def forget(_: object) -> None:
            table.pop(key, None)

        with contextlib.suppress(TypeError):
            table[key] = (weakref.ref(owner, forget), _copied(parts), made)
        return made


def _parts_of(message: BaseMessage) -> list[object]:
    beside = (
        {key: message.additional_kwargs[key] for key in SENT_BESIDE if key in message.additional_kwargs}
        if message.additional_kwargs
        else None
    )
    parts: list[object] = [message.type, message.name, message.content, beside]
    if isinstance(message, AIMessage):
        parts += [message.tool_calls, message.invalid_tool_calls]
    elif isinstance(message, ToolMessage):
        parts += [message.tool_call_id, message.status]
    elif isinstance(message, ChatMessage):
        parts.append(message.role)
    return parts


def _unmarked_parts(parts: list[object]) -> list[object]:
    content = parts[2]
    blocks = [_unmarked(block) for block in cast("list[object]", content)] if isinstance(content, list) else content
    return [*parts[:2], blocks, *parts[3:]]


def _unmarked(block: object) -> object:
    """Drop a cache marker: it says what to cache, and what is read stays the same."""
    return {key: block[key] for key in block if key != MARKER} if is_block(block) and MARKER in block else block


def _schema_of(tool: Any) -> object:  # noqa: ANN401 -- tools come in many types
    try:
        schema = convert_to_openai_tool(tool)
    except Exception as error:
        raise Untold(type(tool).__name__) from error
    extras: object = tool.extras if isinstance(tool, BaseTool) else None
    return [schema, _unmarked(extras) or None]


def _are_equal(one: object, other: object) -> bool:
    try:
        return bool(one == other)
    except Exception:  # noqa: BLE001 -- deep content, or arrays that refuse to be compared: then it is read afresh
        return False


def _copied(value: object) -> object:
    """Copy the containers in `value`, which may be changed in place; what is in them stays the same object."""
    if isinstance(value, dict):
        return {key: _copied(inner) for key, inner in cast("dict[object, object]", value).items()}
    if isinstance(value, list):
        return [_copied(inner) for inner in cast("list[object]", value)]
    return value
