"""Requests without the cache settings that only one provider takes.

The same places as langchain's `ModelFallbackMiddleware` cleans: `cache_control` on blocks, in their `extras` and
`metadata`, on tools and in the settings; and the settings of OpenAI and Fireworks for sticky caches.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from langchain_core.tools import BaseTool

from session_router_langchain.dialects import ANTHROPIC, family_of
from session_router_langchain.vocabulary import is_block

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.messages import BaseMessage

    from session_router_langchain.vocabulary import Block

Message = TypeVar("Message", bound="BaseMessage")

MARKER = "cache_control"
_CACHE_KEY = "prompt_cache_key"
_AFFINITY = "x-session-affinity"
_FIREWORKS = "fireworks-chat"


def without_marker(block: Block) -> Block:
    """Return `block` without cache markers; the very same block when it has none."""
    left = _dropped(block)
    for key in ("extras", "metadata"):
        nested = left.get(key)
        if is_block(nested) and MARKER in nested:
            left = {**left, key: _dropped(nested)}
    value = left.get("value")
    if left.get("type") == "non_standard" and is_block(value) and (stripped := without_marker(value)) is not value:
        left = {**left, "value": stripped}
    return left


def strip_cache_markers_from_system(message: Message) -> Message:
    """Return a system message without cache markers; the very same message when it has none."""
    if not isinstance(message.content, list):
        return message
    content = [without_marker(block) if is_block(block) else block for block in message.content]
    if all(new is old for new, old in zip(content, message.content, strict=True)):
        return message
    return message.model_copy(update={"content": content})


def strip_cache_markers_from_tools(tools: Sequence[Any]) -> Sequence[Any]:
    """Return `tools` without cache markers; the very same sequence when none has any."""
    stripped = [_tool(tool) for tool in tools]
    return tools if all(new is old for new, old in zip(stripped, tools, strict=True)) else stripped


def strip_cache_markers_from_settings(settings: Mapping[str, Any], *, dialect: str = "") -> Mapping[str, Any]:
    """Return `settings` without cache settings that a model of `dialect` refuses; the very same mapping when there are none."""
    unwanted = set[str]()
    if dialect != ANTHROPIC:
        unwanted.add(MARKER)
    if family_of(dialect) != "openai" and dialect != _FIREWORKS:
        unwanted.add(_CACHE_KEY)
    left = {key: value for key, value in settings.items() if key not in unwanted}
    headers = left.get("extra_headers")
    if dialect != _FIREWORKS and isinstance(headers, Mapping):
        kept = _without_affinity(headers)  # pyright: ignore[reportUnknownArgumentType] -- settings come untyped
        if kept != headers:
            left["extra_headers"] = kept
            if not kept:
                del left["extra_headers"]
    return settings if left == settings else left


def without_cache_markers(
    system: BaseMessage | None, tools: Sequence[Any], settings: Mapping[str, Any], *, dialect: str = ""
) -> dict[str, Any]:
    """Return what of a request changes for a model of `dialect`, by the names of `ModelRequest.override`.

    Args:
        system: The system message, if any.
        tools: The request's tools.
        settings: The request's model settings.
        dialect: The API that the request goes to; none by default, to which every cache setting is foreign.
    """
    changed: dict[str, Any] = {}
    if dialect != ANTHROPIC:
        if system is not None and (stripped := strip_cache_markers_from_system(system)) is not system:
            changed["system_message"] = stripped
        if (fewer := strip_cache_markers_from_tools(tools)) is not tools:
            changed["tools"] = list(fewer)
    if (plain := strip_cache_markers_from_settings(settings, dialect=dialect)) is not settings:
        changed["model_settings"] = dict(plain)
    return changed


def _without_affinity(headers: Mapping[Any, Any]) -> dict[Any, Any]:
    return {key: value for key, value in headers.items() if not (isinstance(key, str) and key.lower() == _AFFINITY)}


def _tool(tool: object) -> object:
    if isinstance(tool, BaseTool):
        if not tool.extras or MARKER not in tool.extras:
            return tool
        return tool.model_copy(update={"extras": _dropped(tool.extras) or None})
    if not is_block(tool):
        return tool
    left = _dropped(tool)
    extras = left.get("extras")
    return {**left, "extras": _dropped(extras) or None} if is_block(extras) and MARKER in extras else left


def _dropped(payload: Block) -> Block:
    return {key: value for key, value in payload.items() if key != MARKER} if MARKER in payload else payload
