"""Where no model may see a whole request: smaller ones, each asked about at the same gate, until a model may see one of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from langchain_core.messages import ToolMessage

from session_router.core.governance import PUBLIC, permits
from session_router.core.policy import OnDenied
from session_router_langchain.tagging import labelled
from session_router_langchain.withholding import begun_anew, withheld

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from langchain_core.messages import BaseMessage

    from session_router.core.call import Call
    from session_router.core.decision import Decision
    from session_router.core.governance import Clearance, Tag
    from session_router_langchain.calls import Calls

_WAYS = {OnDenied.WITHHOLD: withheld, OnDenied.FRESH: begun_anew}


class Narrowing:
    """Makes a request smaller. Nothing is decided here: each smaller request is routed like any other.

    Args:
        calls: Reads histories.
        messages: The history.
        call: The call made of it.
        tools: What is on offer: their labels count for what they returned.

    Attributes:
        messages: The history as it is to be sent: the one that was tried last.
        call: The call made of it.
    """

    def __init__(self, calls: Calls, messages: Sequence[BaseMessage], call: Call, *, tools: Sequence[Any] = ()) -> None:
        self._calls, self._tools = calls, tools
        self._whole, self._first = messages, call
        self.messages, self.call = messages, call

    def tries(self, refused: Decision) -> Iterator[Call]:
        """Yield smaller calls, by the policy's order and then by that of the models, the session's own first.

        Args:
            refused: The decision on the whole one.
        """
        router = self._calls.router
        names = sorted(router.models, key=lambda name: name != refused.previous)
        for way in router.policy.on_denied:
            for name in names:
                clearance = router.models[name].clearance
                smaller = None if clearance is None else self._narrowed(way, clearance)
                if smaller is not None and smaller is not self._whole:
                    self.messages, self.call = smaller, self._call_of(smaller, way, refused.tag)
                    yield self.call
        self.messages, self.call = self._whole, self._first

    def _narrowed(self, way: OnDenied, clearance: Clearance) -> Sequence[BaseMessage] | None:
        call, policy = self._first, self._calls.router.policy
        labels = [step.tag for step in call.transcript.steps]
        unlabelled = policy.unlabelled if call.tag is None else call.tag

        def may_see(tag: Tag) -> bool:
            return permits(tag, clearance, now=call.now, purpose=call.purpose)

        smaller = _WAYS[way](self._whole, labels, may_see, unlabelled=unlabelled)
        if smaller is None or smaller is self._whole:
            return smaller
        given = {id(message) for message in self._whole}
        return [message if id(message) in given else _notice(message) for message in smaller]

    def _call_of(self, messages: Sequence[BaseMessage], way: OnDenied, whole: Tag | None) -> Call:
        transcript = self._calls.reader.read(messages, head=self._first.transcript.head, labels=self._calls.tool_labels(self._tools))
        question = replace(self._first.question, recent=(), turn=transcript.turn)
        return replace(self._first, transcript=transcript, question=question, narrowed=way, withheld=whole, terms=None)


def _notice(message: BaseMessage) -> BaseMessage:
    """Label what stands for a withheld message: it says nothing. A tool's name would bring the label of what the tool returns."""
    unnamed = message.model_copy(update={"name": None}) if isinstance(message, ToolMessage) else message
    return labelled(unnamed, PUBLIC)
