"""What the chosen model is to be asked, sealed before it is handed on: an answer to anything else answers no question of ours."""

from __future__ import annotations

import contextlib
import itertools
from collections import deque
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, cast

from langchain_core.runnables.base import RunnableBindingBase

from session_router_langchain.cache_markers import MARKER
from session_router_langchain.exact import Untold, compared
from session_router_langchain.vocabulary import is_block

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import BaseMessage

_DESCRIPTION = "_serialized"
"""Where LangChain keeps a chat model's description: made once for an object, and taken along by its copies."""

_REDACTED = "**REDACTED**"
"""What stands in the place of something that clients do not tell callbacks."""

_NO_MATTER = frozenset({MARKER, "prompt_cache_key"})
"""Arguments that say what a provider is to cache: what it answers stays the same."""

_DROPPED: Final[deque[tuple[int, object]]] = deque(maxlen=64)
"""Descriptions of chat models that were dropped last, numbered: whoever is being asked at the same time may still bear one."""

_GUARD: Final = Lock()
_NUMBERS: Final = itertools.count(1)
_OF_AN_ANSWER = ("content", "tool_calls", "invalid_tool_calls", "additional_kwargs")


@dataclass(frozen=True, slots=True)
class Seal:
    """What one model is to be asked, by its digests: objects may be changed in place.

    Attributes:
        model: The very object.
        number: Of the description that it had before: whoever bears that, or an earlier one, is a copy.
        said: Digest of the messages.
        arguments: Digest of all arguments, bound tools among them.
    """

    model: BaseChatModel
    number: int
    said: bytes
    arguments: bytes

    def holds(self, described: object, messages: Sequence[BaseMessage], arguments: object) -> bool:
        """Whether a callback tells of what was sealed.

        Args:
            described: The description of the model that is asked.
            messages: What it is asked.
            arguments: All of its arguments.
        """
        try:
            return self._is_mine(described) and self.said == _said(messages) and self.arguments == _arguments(arguments)
        except Untold:
            return False

    def said_again(self, messages: Sequence[BaseMessage]) -> bool:
        """Whether `messages` are still those that were sealed."""
        try:
            return self.said == _said(messages)
        except Untold:
            return False

    def _is_mine(self, described: object) -> bool:
        with _GUARD:
            if described is vars(self.model).get(_DESCRIPTION):
                return True
            # Somebody who asks the same object at the same time has dropped it.
            return any(described is dropped for number, dropped in _DROPPED if number > self.number)


def sealed(
    model: BaseChatModel,
    messages: Sequence[BaseMessage],
    *,
    tools: Sequence[Any],
    tool_choice: object,
    settings: Mapping[str, Any],
) -> Seal | None:
    """Seal what `model` is to be asked by an agent without structured output; `None` where that cannot be said beforehand."""
    number = _undescribed(model)
    try:
        bound: Any = model.bind_tools(tools, tool_choice=cast("Any", tool_choice), **settings) if tools else model.bind(**settings)
    except Exception:  # noqa: BLE001 -- then it cannot be asked either, and who asks it will say why
        return None
    given: dict[str, Any] = {}
    while isinstance(bound, RunnableBindingBase):
        given = {**bound.kwargs, **given}
        bound = bound.bound  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] -- what is bound is any runnable
    if bound is not model:
        return None
    stop = given.pop("stop", None)
    with contextlib.suppress(Exception):
        arguments = model._get_invocation_params(stop=stop, **given)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] -- has no public name
        return None if _REDACTED in repr(arguments) else Seal(model, number, _said(messages), _arguments(arguments))
    return None


def _undescribed(model: BaseChatModel) -> int:
    """Drop the description of `model`: it is made anew when the model is asked, and a copy that was made before does not bear that."""
    with _GUARD:
        number = next(_NUMBERS)
        _DROPPED.append((number, vars(model).pop(_DESCRIPTION, None)))
        return number


def same_answer(message: BaseMessage, other: BaseMessage) -> bool:
    """Whether `message` says what `other` says, and has nothing else beside it."""
    try:
        return all(bool(getattr(message, name, None) == getattr(other, name, None)) for name in _OF_AN_ANSWER)
    except Exception:  # noqa: BLE001 -- deep content, or arrays that refuse to be compared: the answer is delivered all the same
        return False


def _said(messages: Sequence[BaseMessage]) -> bytes:
    return compared([_words(message) for message in messages])


def _words(message: BaseMessage) -> object:
    content: object = message.content
    blocks = [content] if isinstance(content, str) else cast("list[object]", content)
    texts = [_unmarked({"type": "text", "text": block} if isinstance(block, str) else block) for block in blocks if block != ""]
    beside = {
        name: getattr(message, name, None) for name in ("tool_calls", "invalid_tool_calls", "tool_call_id", "status", "additional_kwargs")
    }
    # Some clients read the ids of answers: they continue what their provider has kept.
    own = [message.id, message.response_metadata] if message.type == "ai" else None
    return [message.type, message.name, texts, beside, own]


def _arguments(arguments: object) -> bytes:
    if not is_block(arguments):
        return compared(arguments)
    left = {key: value for key, value in arguments.items() if key not in _NO_MATTER}
    tools: object = left.get("tools")
    if isinstance(tools, list):
        left["tools"] = [_unmarked(one) for one in cast("list[object]", tools)]
    return compared(left)


def _unmarked(block: object) -> object:
    return {key: block[key] for key in block if key != MARKER} if is_block(block) else block
