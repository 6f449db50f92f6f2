"""Carrying a history to another model: what cannot go, and a copy in which everything can.

    stripped      what only its maker can read and nobody misses: signed thoughts, item ids, cache markers
    rewritten     what says something: provider-run tools, client blocks and foreign media become text or standard blocks
    cannot move   what the provider keeps and we do not have: containers, uploaded files

The copy is for one request. Messages that need no change are the same objects, and the stored history stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from session_router.core.binding import KEPT_BY_PROVIDER, BindingKind
from session_router.errors import Unportable
from session_router_langchain.checking import check_messages
from session_router_langchain.conversion import Conversion
from session_router_langchain.dialects import ANTHROPIC
from session_router_langchain.target import as_target, origin_beside

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import BaseMessage

    from session_router_langchain.target import OriginOf, Target

Messages = TypeVar("Messages", bound="Sequence[BaseMessage]")

BEGINNING = "(The conversation begins.)"
"""Stands before what the assistant said first, where a human must speak first."""

_REWRITTEN = frozenset({BindingKind.SERVER_TOOL_BLOCK, BindingKind.CLIENT_TOOL_BLOCK, BindingKind.FOREIGN_BLOCK})


class Change(StrEnum):
    """What happens to a part that the target cannot take."""

    STRIPPED = "stripped"
    REWRITTEN = "rewritten"
    CANNOT_MOVE = "cannot move"


@dataclass(frozen=True, slots=True, kw_only=True)
class PortabilityItem:
    """One part of a history that the target cannot take as it is.

    Attributes:
        message: Index of the message.
        kind: What is bound.
        change: What happens to it.
    """

    message: int
    kind: BindingKind
    change: Change

    def __str__(self) -> str:
        """Tell it in a line."""
        return f"message {self.message}: {self.kind.value.replace('_', ' ')} {self.change.value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PortabilityReport:
    """What would happen to a history on its way to another model.

    Attributes:
        target: The model's name.
        items: Everything that it cannot take as it is, in the order of the messages.
    """

    target: str
    items: tuple[PortabilityItem, ...] = ()

    @property
    def portable(self) -> bool:
        """Whether the target takes the history as it is."""
        return not self.items

    @property
    def convertible(self) -> bool:
        """Whether `convert` can carry the history there."""
        return all(item.change is not Change.CANNOT_MOVE for item in self.items)

    def __str__(self) -> str:
        """Tell it, a line an item."""
        if self.portable:
            return f"`{self.target}` takes this history as it is"
        head = f"`{self.target}` {'takes this history converted' if self.convertible else 'cannot take this history'}:"
        return "\n  ".join([head, *map(str, self.items)])


def portability_report(
    messages: Sequence[BaseMessage], target: Target | BaseChatModel, *, origin: OriginOf | None = None
) -> PortabilityReport:
    """Say what `convert` would do, or why it cannot.

    Args:
        messages: The history as it will be sent; nothing in it is changed.
        target: Where it goes: a chat model, or `target_of(name, model)` where the router's name for it matters.
        origin: Tells where each message comes from, `origin_in(specs)` where the routes are known. Without it a
            message is the target's own or a stranger's.

    Raises:
        ConfigurationError: The messages are none, or the target is neither a target nor a chat model.
    """
    return _carried(messages, as_target(target), origin)[1]


def convert(messages: Sequence[BaseMessage], target: Target | BaseChatModel, *, origin: OriginOf | None = None) -> list[BaseMessage]:
    """Return the history as `target` can take it, for one request.

    Args:
        messages: As for `portability_report`.
        target: As for `portability_report`.
        origin: As for `portability_report`.

    Returns:
        The messages, in order; those that need no change are the same objects. A message of which nothing is
        left is not in it. Where a human must speak first and the assistant did, such as in a greeting, one says so
        before it; no report tells that, since nothing that was said changes.

    Raises:
        ConfigurationError: As for `portability_report`.
        Unportable: A container or an uploaded file is on another account.
    """
    target = as_target(target)
    carried, report = _carried(messages, target, origin)
    if not report.convertible:
        raise Unportable(model=target.name, bindings=[str(item) for item in report.items if item.change is Change.CANNOT_MOVE])
    return begun(carried, target)


def begun(messages: Messages, target: Target) -> Messages | list[BaseMessage]:
    """Return a history that a human begins, as Anthropic demands; the very same one when a human does, or `target` is another's."""
    if target.dialect != ANTHROPIC:
        return messages
    first = next((index for index, message in enumerate(messages) if not isinstance(message, SystemMessage)), None)
    if first is None or not isinstance(messages[first], AIMessage):
        return messages
    return [*messages[:first], HumanMessage(BEGINNING), *messages[first:]]


def _carried(messages: Sequence[BaseMessage], target: Target, origin: OriginOf | None) -> tuple[list[BaseMessage], PortabilityReport]:
    check_messages(messages)
    conversion = Conversion(target, origin or origin_beside(target))
    carried = conversion.carry(messages)
    items = tuple(PortabilityItem(message=index, kind=kind, change=_change_of(kind)) for index, kind in conversion.found)
    if not items and isinstance(messages, list):
        carried = messages
    return carried, PortabilityReport(target=target.name, items=items)


def _change_of(kind: BindingKind) -> Change:
    if kind in KEPT_BY_PROVIDER:
        return Change.CANNOT_MOVE
    return Change.REWRITTEN if kind in _REWRITTEN else Change.STRIPPED
