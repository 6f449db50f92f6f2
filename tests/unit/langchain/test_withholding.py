"""Nothing of a message that is withheld is left but who spoke and what belongs together."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage, message_to_dict

from session_router.core.governance import PUBLIC, TOP, Clearance, Level, Tag, join_labels, permits
from session_router_langchain.repairing import repair
from session_router_langchain.withholding import WITHHELD, begun_anew, withheld

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

CLEARANCE = Clearance(max_level=Level.INTERNAL, processing_regions=frozenset({"eu"}))
SECRET = Tag(level=Level.CONFIDENTIAL, categories=frozenset({"pii"}))
may_see = partial(permits, clearance=CLEARANCE, now=1.7e9)


def spoken(number: int) -> list[BaseMessage]:
    """Return one turn whose every message holds its own mark in every place that can hold one."""
    mark = [f"mark-{number}-{at}" for at in range(4)]
    call: Any = {"name": "read", "args": {"what": mark[1]}, "id": f"call-{number}", "type": "tool_call"}
    return [
        HumanMessage(mark[0], name=mark[0], id=f"h{number}"),
        AIMessage(
            [{"type": "text", "text": mark[1]}, {"type": "reasoning", "reasoning": mark[1]}],
            tool_calls=[call],
            invalid_tool_calls=[],
            additional_kwargs={"reasoning_content": mark[1]},
            response_metadata={"model_name": "sim-fast", "logprobs": mark[1]},
            id=f"a{number}",
        ),
        ToolMessage(mark[2], tool_call_id=f"call-{number}", name="read", artifact={"rows": mark[2]}, id=f"t{number}"),
        AIMessage(mark[3], response_metadata={"model_name": "sim-fast"}, id=f"b{number}"),
    ]


def history(turns: int) -> list[BaseMessage]:
    return [SystemMessage("mark-system"), *(message for number in range(turns) for message in spoken(number))]


def shown(messages: Any) -> str:
    return json.dumps([message_to_dict(message) for message in messages], default=repr)


LABELS = st.sampled_from((PUBLIC, Tag(level=Level.INTERNAL), SECRET, Tag(regions=frozenset({"us"})), None))


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 4), st.integers(1, 4), st.data())
def test_what_a_model_may_not_see_is_nowhere_and_the_rest_is_whole(turns: int, kept: int, data: st.DataObject) -> None:
    messages = history(turns)
    messages = messages[: len(messages) - (4 - kept)]
    labels = [data.draw(LABELS) for _ in messages]
    before = shown(messages)
    result = withheld(messages, labels, may_see)
    assert shown(messages) == before
    last = max(at for at, message in enumerate(messages) if isinstance(message, HumanMessage))
    tags = [TOP if label is None else label for label in labels]
    if may_see(join_labels(labels)):
        assert result is messages
    elif not may_see(tags[last]):
        assert result is None
    else:
        assert result is not None
        for message, left, tag in zip(messages, result, tags, strict=True):
            text = shown([left])
            assert ("mark-" in text) is may_see(tag), text
            assert (type(left), left.id) == (type(message), message.id)
            if isinstance(left, AIMessage) and isinstance(message, AIMessage):
                assert [(one["id"], one["name"]) for one in left.tool_calls] == [(one["id"], one["name"]) for one in message.tool_calls]
                assert left.response_metadata["model_name"] == "sim-fast"
            if isinstance(left, ToolMessage) and isinstance(message, ToolMessage):
                assert (left.tool_call_id, left.status) == (message.tool_call_id, message.status)
        # What a provider would have taken, it still takes.
        assert repair(result) is result


def test_what_may_not_come_together_is_not_sent_together() -> None:
    messages = [HumanMessage("a"), AIMessage("b"), HumanMessage("c")]
    clearance = Clearance(tenants=None)
    labels = [Tag(tenants=frozenset({"acme"})), None, Tag(tenants=frozenset({"globex"}))]
    assert withheld(messages, labels, partial(permits, clearance=clearance, now=1.7e9)) is None


def test_nothing_is_withheld_that_may_be_seen() -> None:
    messages = history(2)
    assert withheld(messages, [PUBLIC] * len(messages), may_see) is messages
    result = withheld(messages, [None, *[PUBLIC] * 8], may_see)
    assert result is not None
    assert [message.content for message in result[:2]] == [WITHHELD, "mark-0-0"]
    assert withheld(messages, [None] * len(messages), may_see, unlabelled=PUBLIC) is messages


def test_a_fresh_context_begins_with_what_was_said_last() -> None:
    messages = history(3)[:-1]
    labels: list[Tag | None] = [PUBLIC] * len(messages)
    labels[1] = labels[4] = SECRET
    result = begun_anew(messages, labels, may_see)
    assert result == [messages[0], *messages[9:]]
    labels[0] = SECRET
    assert begun_anew(messages, labels, may_see) == messages[9:]
    labels[10] = SECRET
    assert begun_anew(messages, labels, may_see) is None
    assert begun_anew(messages[9:], [PUBLIC] * 3, may_see) == messages[9:]


@pytest.mark.parametrize("messages", [[], [SystemMessage("s")], [AIMessage("a")]])
def test_where_nobody_spoke_there_is_nothing_to_begin_with(messages: list[BaseMessage]) -> None:
    assert begun_anew(messages, [SECRET] * len(messages), may_see) is None
    if messages:
        assert withheld(messages, [SECRET] * len(messages), may_see) is None


def test_what_a_framework_injected_is_not_what_was_said_last() -> None:
    injected = HumanMessage("a summary", additional_kwargs={"lc_source": "summarization"})
    messages = [HumanMessage("before"), AIMessage("x"), HumanMessage("asked"), injected]
    assert begun_anew(messages, [SECRET, SECRET, PUBLIC, PUBLIC], may_see) == messages[2:]
