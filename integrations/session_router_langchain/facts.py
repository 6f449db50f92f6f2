"""What a message says, to see whether somebody changed it in place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

Facts: TypeAlias = tuple[object, ...]
"""What stands in the fields of `_SAYING`. Texts are compared by their identity first: some nanoseconds each."""

_SAYING: Final = ("content", "additional_kwargs", "name", "tool_calls", "invalid_tool_calls", "tool_call_id", "status")
"""Fields of a message, of whichever type, that say what it says and what it answers."""


def facts_of(message: BaseMessage) -> Facts:
    """Return what `message` says now, as it stands there."""
    fields: Any = message.__dict__
    return tuple(map(fields.get, _SAYING))


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
