"""Every message in what a tool puts into a graph's state, in whichever form a graph takes one.

LangGraph makes messages of dictionaries, of pairs of a role and a text, and of plain texts, when the tool is long done. What stands
in such a form must bear its label already.
"""

from __future__ import annotations

import copy
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from langchain_core.messages import BaseMessage, convert_to_messages
from langgraph.types import Send
from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    Marked = Callable[[BaseMessage], BaseMessage]

MESSAGES: Final = "messages"
"""The key of a state under which pairs and texts are messages, as LangGraph's own graphs have it. Elsewhere a pair is a pair."""


def marked_in(value: object, marked: Marked, *, key: str = "", above: frozenset[int] = frozenset()) -> object:
    """Return `value` with each message in it as `marked` returns it; the very same one where nothing changes.

    Args:
        value: A message, a command, a `Send`, or a state, or a part of one: mappings, sequences, models and dataclasses are looked into.
        marked: Returns a message with its label, or the very same one.
        key: Under which `value` stands.
        above: What `value` stands in, by `id`: a value that holds itself is looked into once.
    """
    if id(value) in above:
        return value
    above |= {id(value)}
    message = _as_message(value, is_sure=key == MESSAGES)
    if message is not None:
        return _with_fields_of(marked(message), message, value)
    if isinstance(value, dict):
        return _marked_items(cast("dict[Any, object]", value), marked, above)
    if isinstance(value, list | tuple):
        parts = cast("Sequence[object]", value)
        return _with_parts(parts, [marked_in(one, marked, key=key, above=above) for one in parts])
    return _changed(value, {name: _marked_field(name, one, marked, above) for name, one in fields_of(value).items()})


def fields_of(value: object) -> dict[str, object]:
    """Return what there is to look into in an object, by attribute; nothing in one of any other class."""
    names: Iterable[str] = ()
    if isinstance(value, Send):
        names = ("arg",)
    elif isinstance(value, BaseModel):
        names = type(value).model_fields
    elif is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in fields(value)]
    return {name: getattr(value, name) for name in names if hasattr(value, name)}


def _marked_field(name: str, value: object, marked: Marked, above: frozenset[int]) -> object:
    """Mark one attribute; what is written to a state (`Command.update`, `Send.arg`) may be given as pairs of a key and a value."""
    held: Any = value
    if name == "update" and isinstance(held, dict):
        return _marked_items(cast("dict[Any, object]", held), marked, above)
    if name in {"update", "arg"} and isinstance(held, list | tuple):
        pairs = cast("Sequence[Any]", held)
        if all(map(_is_pair, pairs)):
            return _with_parts(pairs, [_with_parts(one, [one[0], marked_in(one[1], marked, key=one[0], above=above)]) for one in pairs])
    return marked_in(value, marked, key=name, above=above)


def _is_pair(value: object) -> bool:
    return isinstance(value, tuple) and len(cast("tuple[object, ...]", value)) == 2 and isinstance(value[0], str)  # noqa: PLR2004 -- a pair


def _as_message(value: Any, *, is_sure: bool) -> BaseMessage | None:  # noqa: ANN401 -- whatever stands in a state
    """Read `value` as the message that a graph would make of it; `None` where it is none."""
    if isinstance(value, BaseMessage):
        return value
    is_written = isinstance(value, dict) and ("content" in value or "kwargs" in value)
    if not (is_written or (is_sure and (isinstance(value, str) or _is_pair(cast("object", value))))):
        return None
    try:
        (message,) = convert_to_messages([cast("Any", value)])
    except Exception:  # noqa: BLE001 -- LangChain refuses what is no message with errors of many types, and so would the graph
        return None
    return message


def _with_fields_of(marked: BaseMessage, message: BaseMessage, value: object) -> object:
    """Return `value`, which was read as `message`, with what `marked` bears beyond that."""
    if marked is message:
        return value
    if isinstance(value, BaseMessage):
        return marked
    beside = {"additional_kwargs": marked.additional_kwargs}
    if isinstance(value, dict):
        written = cast("dict[str, Any]", value)
        return {**written, "kwargs": {**written["kwargs"], **beside}} if "kwargs" in written else {**written, **beside}
    # A pair, or a text of a human, has no room for a label.
    role: object = "human" if isinstance(value, str) else cast("tuple[object, object]", value)[0]
    return {"role": role, "content": marked.content, **beside}


def _marked_items(items: dict[Any, object], marked: Marked, above: frozenset[int]) -> dict[Any, object]:
    new = {key: marked_in(one, marked, key=str(key), above=above) for key, one in items.items()}
    changed = {key: one for key, one in new.items() if one is not items[key]}
    if not changed:
        return items
    copied = copy.copy(items)
    copied.update(changed)
    return copied


def _with_parts(parts: Sequence[object], new: Sequence[object]) -> object:
    if all(one is old for one, old in zip(new, parts, strict=True)):
        return parts
    if isinstance(parts, list):
        copied = copy.copy(parts)
        copied[:] = new
        return copied
    made: Any = getattr(type(parts), "_make", type(parts))  # a named tuple takes its fields one by one
    return made(new)


def _changed(value: Any, held: dict[str, object]) -> Any:  # noqa: ANN401 -- a class of the user's
    """Return a copy of `value` with the fields that are others; frozen ones have no other way in."""
    changed = {name: one for name, one in held.items() if one is not getattr(value, name)}
    if not changed:
        return value
    copied = copy.copy(value)
    for name, one in changed.items():
        object.__setattr__(copied, name, one)
    return copied
