"""What a tool's own model calls inherit from the agent that called the tool, and what the tool brings back from them.

An agent that a tool runs begins with an empty history: nothing in it tells what the arguments carried. The label of whoever asked
goes with the context, through threads and tasks, and the label of everything that was read below comes back with the result.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from session_router.core.governance import PUBLIC, Tag, join
from session_router_langchain.handovers import marked_in
from session_router_langchain.tagging import AskedFor, label_of, labelled, own_label

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from session_router.core.policy import Policy
    from session_router.core.readings import Place

_here: ContextVar[Lineage | None] = ContextVar("session_router.lineage", default=None)


class Lineage:
    """One call of a tool.

    Args:
        tag: Label of what its caller has read; `None` while governance is not in use.
        task: Checkpoint namespace of the call; empty where there is none.
        place: Where the store keeps what is read below, for when the call is made again; `None` where it will not be.
        above: The call that this one is made in; `None` outside of one.

    Attributes:
        returned: Label of the results; `None` before there are any, or where they bear none.
    """

    def __init__(self, tag: Tag | None, task: str = "", place: Place | None = None, above: Lineage | None = None) -> None:
        self.tag = tag
        self.task = task
        self.above = above
        self.returned: Tag | None = None
        self._place = place
        self._guard = Lock()
        self._read: Tag | None = None

    @property
    def place(self) -> Place | None:
        """Where the store keeps what is read below; all that was read until now is there."""
        return self._place if self._place is None or self._read is None else replace(self._place, left=self._read)

    @property
    def read(self) -> Tag | None:
        """Label of all that was read by models that the tool asked; `None` when it asked none."""
        return self._read

    def note(self, tag: Tag) -> None:
        """Remember what a model below has read, or was answered from a cache."""
        with self._guard:
            self._read = tag if self._read is None else join(self._read, tag)

    def note_result(self, tag: Tag | None) -> None:
        """Remember the label of a result, if it bears one."""
        if tag is not None:
            self.returned = tag if self.returned is None else join(self.returned, tag)


@contextmanager
def handed_down(tag: Tag | None, task: str = "", place: Place | None = None) -> Generator[Lineage]:
    """Let every call that is routed in this context inherit `tag`.

    Args:
        tag: The label.
        task: Checkpoint namespace of what makes the calls.
        place: Where the store keeps what they read; that of the call around it unless given.
    """
    above = _here.get()
    lineage = Lineage(tag, task, place if place is not None or above is None else above.place, above)
    token = _here.set(lineage)
    try:
        yield lineage
    finally:
        _here.reset(token)


def inherited(is_unsaid: Callable[[], bool] = lambda: False) -> Tag | None:
    """Return the label that a call inherits here; `None` for none.

    Args:
        is_unsaid: Whether it has words that say nothing of themselves: the tool may have taken them from what was read below it.
    """
    lineage = _here.get()
    if lineage is None or lineage.read is None or not is_unsaid():
        return None if lineage is None else lineage.tag
    return join(lineage.read, lineage.tag or PUBLIC)


def called_from() -> str | None:
    """Return the checkpoint namespace of the tool's call that calls are made in here; `None` outside of one."""
    lineage = _here.get()
    return None if lineage is None else lineage.task


def place_of_call() -> Place | None:
    """Return where the store keeps what is read in the tool's call that calls are made in here; `None` for nowhere."""
    lineage = _here.get()
    return None if lineage is None else lineage.place


def brought_back(tag: Tag | None) -> None:
    """Say that a model called here has read what bears `tag`, for the tool that made the call."""
    lineage = _here.get()
    if lineage is not None and tag is not None:
        lineage.note(tag)


def label_of_asker(messages: Sequence[BaseMessage], call_id: str | None, otherwise: Tag | None) -> Tag | None:
    """Return the label of the message that asked for a tool: its model had read that.

    Args:
        messages: The history.
        call_id: Of the call.
        otherwise: The label where that message bears none.
    """
    for message in reversed(messages):
        if isinstance(message, AIMessage) and any(call["id"] == call_id for call in message.tool_calls):
            own = own_label(message)
            return otherwise if own is None else own
    return otherwise


def with_lineage(
    result: Any,  # noqa: ANN401 -- whatever a tool returns to its node
    lineage: Lineage,
    policy: Policy,
    tools: Mapping[str, Tag],
    *,
    name: str,
    otherwise: Tag,
) -> Any:  # noqa: ANN401 -- as above
    """Return what a tool gave back with the labels of what it was made of.

    A result bears what was read below, beside what its tool is declared to return. A message to somebody else, such as a handoff's
    or a `Send`'s, bears what its sender had read as well.

    Args:
        result: A message, a command with messages in it, or a list of both.
        lineage: Of the call.
        policy: Knows what nobody labelled.
        tools: The labels of what tools return, by name.
        name: Of the tool.
        otherwise: What unlabelled counts as.
    """
    if lineage.tag is None and lineage.read is None:
        return result

    def marked(message: BaseMessage) -> BaseMessage:
        if isinstance(message, ToolMessage):
            own = label_of(message, policy, tools, asked_for=AskedFor(name, lineage.tag))
            lineage.note_result(own if lineage.read is None else join(otherwise if own is None else own, lineage.read))
            if lineage.read is not None:
                return labelled(message, join(otherwise if own is None else own, lineage.read))
            # From here on it says so itself, to agents that know nothing of the tool as well.
            return message if own is None else labelled(message, own)
        if own_label(message) is not None:
            return message
        declared = tools.get(name, policy.sources.get("tool", otherwise))
        return labelled(message, join(declared, lineage.tag or PUBLIC, lineage.read or PUBLIC))

    return marked_in(result, marked)
