"""What a message says, to see whether somebody changed it in place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, cast

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

Facts: TypeAlias = tuple[object, ...]
"""Content, what stands beside it, name, calls. Texts are compared by their identity first: some nanoseconds each."""


def facts_of(message: BaseMessage) -> Facts:
    """Return what `message` says now, as it stands there."""
    fields: Any = message.__dict__
    return fields.get("content"), fields.get("additional_kwargs"), fields.get("name"), fields.get("tool_calls")


def kept_facts_of(message: BaseMessage) -> Facts:
    """Return what `message` says now, in lists and tables of their own: what is changed later stays here as it was."""
    try:
        return tuple(map(_copied, facts_of(message)))
    except RecursionError:
        # Too deep: nothing is equal to it, so that it is read again each time.
        return (object(),)


def _copied(value: object) -> object:
    if isinstance(value, dict):
        return {key: _copied(inner) for key, inner in cast("dict[object, object]", value).items()}
    return [_copied(inner) for inner in cast("list[object]", value)] if isinstance(value, list) else value
