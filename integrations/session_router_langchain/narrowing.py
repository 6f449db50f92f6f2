"""Where no model may see a whole request: smaller ones, each asked about at the same gate, until a model may see one of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from langchain_core.messages import ToolMessage

from session_router.core.governance import PUBLIC, join
from session_router.core.policy import OnDenied
from session_router.identity import answer_id
from session_router_langchain.inspecting import Found
from session_router_langchain.places import said_by
from session_router_langchain.tagging import REQUEST_KEY, labelled, returned_by
from session_router_langchain.withholding import begun_anew, withheld

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from langchain_core.messages import AIMessage, BaseMessage

    from session_router.core.call import Call
    from session_router.core.decision import Decision
    from session_router.core.governance import Clearance, Tag
    from session_router.core.model import ModelName
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

    def tries(self, refused: Decision, call: Call) -> Iterator[Call]:
        """Yield smaller calls, by the policy's order and then by that of the models, the session's own first.

        Args:
            refused: The decision on the call.
            call: The call as it was routed: it may be another attempt, at a later time and after failures.
        """
        router = self._calls.router
        names = sorted(router.models, key=lambda name: name != refused.previous)
        for way in router.policy.on_denied:
            for name in names:
                clearance = router.models[name].clearance
                smaller = None if clearance is None else self._narrowed(way, name, clearance, call)
                if smaller is not None and smaller is not self._whole:
                    self.messages, self.call = smaller, self._call_of(smaller, way, refused.tag, call)
                    yield self.call
        self.messages, self.call = self._whole, self._first

    def beside(self, answer: AIMessage) -> Mapping[str, Any]:
        """Return what `answer` is to say of itself: what the tools return that it asks for, and in a graph, which request it answers."""
        said: dict[str, Any] = returned_by(answer, self._calls.tool_labels(self._tools)) or {}
        if self._first.places:
            said[REQUEST_KEY] = answer_id(self._calls.router.key, self._first.places[0].request, said_by(answer))
        return said

    def _narrowed(self, way: OnDenied, name: ModelName, clearance: Clearance, call: Call) -> Sequence[BaseMessage] | None:
        policy = self._calls.router.policy
        unlabelled = policy.unlabelled if call.tag is None else call.tag
        labels = [step.label(unlabelled=unlabelled) for step in self._first.transcript.steps]

        def may_see(tag: Tag) -> bool:
            return policy.failing_rule(tag, clearance, model=name, now=call.now, purpose=call.purpose) is None

        smaller = _WAYS[way](self._whole, labels, may_see, unlabelled=unlabelled)
        if smaller is None or smaller is self._whole:
            return smaller
        given = {id(message) for message in self._whole}
        return [message if id(message) in given else _notice(message) for message in smaller]

    def _call_of(self, messages: Sequence[BaseMessage], way: OnDenied, refused: Tag | None, call: Call) -> Call:
        whole = zip(self._whole, self._first.transcript.steps, strict=True)
        found = Found({id(message): step.found for message, step in whole if step.found is not None}, certain=False)
        labels = self._calls.tool_labels(self._tools)
        transcript = self._calls.reader.read(messages, head=self._first.transcript.head, labels=labels, found=found)
        question = replace(self._first.question, recent=(), turn=transcript.turn)
        # What is withheld already stays so.
        withheld = call.withheld if refused is None else refused if call.withheld is None else join(refused, call.withheld)
        return replace(call, transcript=transcript, question=question, narrowed=way, withheld=withheld, terms=None)


def _notice(message: BaseMessage) -> BaseMessage:
    """Label what stands for a withheld message: it says nothing. A tool's name would bring the label of what the tool returns."""
    unnamed = message.model_copy(update={"name": None}) if isinstance(message, ToolMessage) else message
    return labelled(unnamed, PUBLIC)
