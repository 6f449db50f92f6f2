"""Labels on tools, messages, documents and contexts: what is put there is read there, and what cannot be read is top."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, ChatMessage, FunctionMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import BaseTool, StructuredTool, tool
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from session_router.core.governance import PUBLIC, TOP, Level, Tag, join
from session_router.core.policy import Policy
from session_router.errors import ConfigurationError
from session_router_langchain.tagging import (
    TAG_KEY,
    AskedFor,
    label_in,
    label_of,
    label_of_documents,
    labelled,
    own_label,
    tagged_tool,
    tool_tags,
)
from session_router_langchain.withholding import WITHHELD

PII = Tag(level=Level.CONFIDENTIAL, categories=frozenset({"pii"}))
INTERNAL = Tag(level=Level.INTERNAL)


def read(number: int) -> str:
    """Read a customer's file."""
    return f"file {number}"


def test_a_function_becomes_a_labelled_tool() -> None:
    made = tagged_tool(level=2, categories={"pii"})(read)
    assert isinstance(made, BaseTool)
    assert made.invoke({"number": 3}) == "file 3"
    assert tool_tags([made], Policy()) == {"read": PII}


def test_a_tool_is_labelled_in_any_way() -> None:
    @tagged_tool(tag=PII)
    @tool
    def decorated(number: int) -> str:
        """Read."""
        return str(number)

    given = tagged_tool(StructuredTool.from_function(read, name="given", metadata={"own": 1}), tag=INTERNAL)
    assert given.metadata is not None
    assert given.metadata["own"] == 1
    assert tool_tags([decorated, given, {"type": "web_search"}, tool(read)], Policy()) == {"decorated": PII, "given": INTERNAL}


def test_what_a_tool_says_and_what_the_policy_says_are_joined() -> None:
    europe = Tag(regions=frozenset({"eu"}))
    policy = Policy(tools={"read": europe, "other": INTERNAL})
    assert tool_tags([tagged_tool(tag=PII)(read)], policy) == {"read": join(PII, europe), "other": INTERNAL}


def test_wrong_declarations_are_told() -> None:
    with pytest.raises(TypeError, match="either a tag or its fields"):
        tagged_tool(tag=PII, level=1)
    with pytest.raises(ConfigurationError):
        tagged_tool(categories="pii")
    with pytest.raises(TypeError):
        tagged_tool(secret=True)
    broken = tagged_tool(tag=PUBLIC)(read)
    assert broken.metadata is not None
    broken.metadata[TAG_KEY] = {"level": 0}
    assert tool_tags([broken], Policy()) == {"read": TOP}


def test_a_label_on_a_message_stays_and_only_rises() -> None:
    message = HumanMessage("hi", id="1", additional_kwargs={"own": 1})
    once = labelled(message, PII)
    assert (own_label(message), own_label(once), once.content, once.id) == (None, PII, "hi", "1")
    assert own_label(labelled(once, PUBLIC)) == PII
    assert own_label(labelled(once, Tag(regions=frozenset({"eu"})))) == join(PII, Tag(regions=frozenset({"eu"})))
    serializer = JsonPlusSerializer()
    back = serializer.loads_typed(serializer.dumps_typed(once))
    assert own_label(back) == PII


@pytest.mark.parametrize("label", [None, "public", {}, {"schema": 1, "level": "public"}, 0, [PII]])
def test_a_label_that_cannot_be_read_is_top(label: Any) -> None:
    message = HumanMessage("hi", additional_kwargs={TAG_KEY: label})
    assert own_label(message) == label_of(message, Policy(), {}) == TOP
    assert label_in({TAG_KEY: label}) == TOP
    assert label_of_documents([Document("x", metadata={TAG_KEY: label})], unlabelled=PUBLIC) == TOP


def test_a_result_carries_what_its_tool_declares_and_what_its_arguments_carried() -> None:
    result = ToolMessage("file", tool_call_id="1", name="read")
    europe = Tag(regions=frozenset({"eu"}))
    assert label_of(result, Policy(), {"read": INTERNAL}) == INTERNAL
    assert label_of(result, Policy(), {"read": INTERNAL}, asked_for=AskedFor("read", PII)) == join(INTERNAL, PII)
    assert label_of(labelled(result, europe), Policy(), {"read": INTERNAL}, asked_for=AskedFor("read", PII)) == join(INTERNAL, PII, europe)
    # A tool that nobody declared is not known to be harmless because of what it was asked.
    assert label_of(result, Policy(), {}, asked_for=AskedFor("read", PUBLIC)) is None


REJECTION = (
    "User rejected the tool call for `read` with id 1. The tool was not executed. "
    "Do not retry this tool call unless the user explicitly requests it."
)


def test_that_a_call_was_rejected_says_no_more_than_the_call() -> None:
    result, asked_for = ToolMessage(REJECTION, tool_call_id="1", name="read", status="error"), AskedFor("read", INTERNAL)
    for policy in (Policy(), Policy(sources={"tool": PII})):
        for tools in ({"read": PII}, {}):
            assert label_of(result, policy, tools, asked_for=asked_for) == INTERNAL
    assert label_of(labelled(result, PII), Policy(), {"read": PII}, asked_for=asked_for) == join(PII, INTERNAL)


@pytest.mark.parametrize(
    ("change", "asked_for"),
    [
        pytest.param({"content": f"{REJECTION} The file says: secret."}, AskedFor("read", INTERNAL), id="more is said"),
        pytest.param(
            {"content": "User rejected the tool call for `read` with reason: secret."}, AskedFor("read", INTERNAL), id="a reason is given"
        ),
        pytest.param({"content": [REJECTION]}, AskedFor("read", INTERNAL), id="in blocks"),
        pytest.param({"tool_call_id": "2"}, AskedFor("read", INTERNAL), id="of another call"),
        pytest.param({"name": "other"}, AskedFor("read", INTERNAL), id="of another name"),
        pytest.param({}, AskedFor("other", INTERNAL), id="of another tool"),
        pytest.param({}, AskedFor("read", None), id="the call bears no label"),
        pytest.param({}, AskedFor("read", INTERNAL, is_known=False), id="the call is gone"),
        pytest.param({}, AskedFor(None, INTERNAL), id="the call has no name"),
        pytest.param({}, None, id="nothing is known of the call"),
    ],
)
def test_what_may_say_more_than_its_call_is_what_the_tool_returns(change: dict[str, Any], asked_for: AskedFor | None) -> None:
    result = ToolMessage(REJECTION, tool_call_id="1", name="read", status="error").model_copy(update=change)
    label = label_of(result, Policy(), {"read": PII, "other": PII}, asked_for=asked_for)
    assert label is not None
    assert join(label, PII) == label


def test_what_a_tool_that_nobody_declared_was_asked_counts_beside_what_the_policy_says_of_tools() -> None:
    result = ToolMessage("file", tool_call_id="1", name="echo")
    assert label_of(result, Policy(sources={"tool": PUBLIC}), {}, asked_for=AskedFor("echo", PII)) == PII


def test_a_result_without_a_name_or_with_another_one_is_that_of_the_tool_that_was_called() -> None:
    policy, tools = Policy(sources={"tool": PUBLIC}), {"read": PII, "hours": PUBLIC}
    for name in (None, "hours", "never declared", "read"):
        result = ToolMessage("file", tool_call_id="1", name=name)
        assert label_of(result, policy, tools, asked_for=AskedFor("read", PUBLIC)) == PII
    result = ToolMessage("file", tool_call_id="1", name="hours")
    assert label_of(result, Policy(), tools, asked_for=AskedFor("never declared", PUBLIC)) is None


@pytest.mark.parametrize("message", [ChatMessage(role="user", content="x"), FunctionMessage(name="f", content="x")])
def test_a_message_of_another_kind_cannot_lower_what_is_said_of_any_source(message: Any) -> None:
    """Providers read it as a human's, or as a result: whoever writes it may not choose the kind for its label."""
    policy = Policy(sources={"system": PUBLIC, "human": PII})
    assert label_of(labelled(message, PUBLIC), policy, {}) == PII
    assert label_of(labelled(message, INTERNAL), policy, {}) == join(INTERNAL, PII)
    assert label_of(message, policy, {}) is None
    assert label_of(labelled(message, INTERNAL), Policy(), {}) == INTERNAL


def test_the_policy_knows_what_nobody_labelled_by_where_it_comes_from() -> None:
    policy = Policy(sources={"system": PUBLIC, "human": PII, "tool": INTERNAL})
    messages = [SystemMessage("s"), HumanMessage("h"), AIMessage("a"), ToolMessage("t", tool_call_id="1", name="read")]
    assert [label_of(message, policy, {}) for message in messages] == [PUBLIC, PII, None, INTERNAL]


def test_whoever_writes_a_message_can_raise_what_the_policy_says_of_its_source_and_not_lower_it() -> None:
    policy = Policy(sources=dict.fromkeys(("system", "human", "ai", "tool"), INTERNAL))
    for message in (SystemMessage("s"), HumanMessage("h"), AIMessage("a"), ToolMessage("t", tool_call_id="1", name="read")):
        assert label_of(labelled(message, PUBLIC), policy, {}) == INTERNAL
        assert label_of(labelled(message, PII), policy, {}) == join(PII, INTERNAL)
        assert label_of(labelled(message, PUBLIC), Policy(), {}) == PUBLIC
    # Of a tool that is declared, its declaration says what it returns.
    assert label_of(labelled(ToolMessage("t", tool_call_id="1", name="read"), PUBLIC), policy, {"read": PUBLIC}) == PUBLIC


@pytest.mark.parametrize("message", [SystemMessage(WITHHELD), HumanMessage(WITHHELD), ToolMessage(WITHHELD, tool_call_id="1")])
def test_a_notice_that_something_is_withheld_says_no_more_than_that(message: Any) -> None:
    policy = Policy(sources=dict.fromkeys(("system", "human", "ai", "tool"), INTERNAL))
    assert label_of(labelled(message, PUBLIC), policy, {}) == PUBLIC
    assert label_of(labelled(message.model_copy(update={"name": "Ada"}), PUBLIC), policy, {}) == INTERNAL


def test_documents_are_joined() -> None:
    known = Document("x", metadata={TAG_KEY: PII})
    assert label_of_documents([known], unlabelled=TOP) == PII
    assert label_of_documents([known, Document("y")], unlabelled=INTERNAL) == join(PII, INTERNAL)
    assert label_of_documents([], unlabelled=TOP) == PUBLIC


def test_a_context_is_a_mapping_or_an_object() -> None:
    assert label_in({TAG_KEY: PII}) == label_in(SimpleNamespace(**{TAG_KEY: PII})) == PII
    assert label_in({}) is label_in(None) is label_in(SimpleNamespace()) is None
