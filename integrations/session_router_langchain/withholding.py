"""A history without what a model may not see: withheld message by message, or begun anew at the last thing said. For one request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from session_router.core.governance import TOP, Tag, join_labels

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    MaySee = Callable[[Tag], bool]

WITHHELD: Final = "(This part of the conversation is withheld.)"

_AUTHOR: Final = frozenset({"model_name", "model", "model_provider", "finish_reason", "stop_reason"})
"""What of an answer's `response_metadata` says who wrote it, and nothing else."""


def withheld(
    messages: Sequence[BaseMessage], labels: Sequence[Tag | None], may_see: MaySee, *, unlabelled: Tag = TOP
) -> Sequence[BaseMessage] | None:
    """Return the history with everything withheld that a model may not see.

    What stays of a message that is withheld is who spoke, and, of calls and results, which belongs to which: no text, no arguments,
    no artifacts, no thoughts, no name of a person. The messages that are given are not changed.

    Args:
        messages: The history.
        labels: The label of each message; `None` for unlabelled.
        may_see: Whether the model may see what bears a label, such as `lambda tag: permits(tag, clearance, now=now)`.
        unlabelled: What unlabelled counts as.

    Returns:
        The very same sequence when the model may see all of it. `None` when withholding does not help: what was said last is itself
        withheld, or what is left may not come together.
    """
    if may_see(join_labels(labels, unlabelled=unlabelled)):
        return messages
    seen = [may_see(unlabelled if label is None else label) for label in labels]
    last = _last_said(messages)
    if last is None or not seen[last]:
        return None
    if not may_see(join_labels((label for label, is_seen in zip(labels, seen, strict=True) if is_seen), unlabelled=unlabelled)):
        return None
    return [message if is_seen else _without_content(message) for message, is_seen in zip(messages, seen, strict=True)]


def begun_anew(
    messages: Sequence[BaseMessage], labels: Sequence[Tag | None], may_see: MaySee, *, unlabelled: Tag = TOP
) -> Sequence[BaseMessage] | None:
    """Return what was said last and all that followed it, behind the system messages that the model may see.

    The arguments are those of `withheld`.

    Returns:
        The shorter history, whole tool loops included; `None` when the model may not see all of that.
    """
    last = _last_said(messages)
    if last is None:
        return None
    kept = [
        at
        for at, message in enumerate(messages)
        if at >= last or (isinstance(message, SystemMessage) and may_see(unlabelled if labels[at] is None else cast("Tag", labels[at])))
    ]
    if not may_see(join_labels((labels[at] for at in kept), unlabelled=unlabelled)):
        return None
    return messages if len(kept) == len(messages) else [messages[at] for at in kept]


def _last_said(messages: Sequence[BaseMessage]) -> int | None:
    """Return where a human spoke last; what a framework injected between results does not count."""
    for at in range(len(messages) - 1, -1, -1):
        message = messages[at]
        if isinstance(message, HumanMessage) and "lc_source" not in message.additional_kwargs:
            return at
    return None


def _without_content(message: BaseMessage) -> BaseMessage:
    """Return what is left of a message: who spoke, and which calls and results belong together."""
    who: dict[str, Any] = {"id": message.id, "name": message.name}
    if isinstance(message, AIMessage):
        return AIMessage(
            content=WITHHELD,
            tool_calls=[{**call, "args": {}} for call in message.tool_calls],
            invalid_tool_calls=[{**call, "args": "", "error": None} for call in message.invalid_tool_calls],
            response_metadata={name: value for name, value in message.response_metadata.items() if name in _AUTHOR},
            **who,
        )
    if isinstance(message, ToolMessage):
        return ToolMessage(content=WITHHELD, tool_call_id=message.tool_call_id, status=message.status, **who)
    if isinstance(message, SystemMessage):
        return SystemMessage(content=WITHHELD, **who)
    # A person's name says who is spoken of.
    return HumanMessage(content=WITHHELD, id=message.id)
