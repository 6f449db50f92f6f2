"""Histories on their way to another model: what is reported, what is carried, and the laws of both."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_google_genai import ChatGoogleGenerativeAI
from langchain_openai import ChatOpenAI

from session_router.core.binding import BindingKind
from session_router.core.model import ModelName, ModelSpec
from session_router.errors import Unportable
from session_router_langchain.cache_markers import (
    strip_cache_markers_from_settings,
    strip_cache_markers_from_system,
    strip_cache_markers_from_tools,
    without_cache_markers,
)
from session_router_langchain.portability import Change, convert, portability_report
from session_router_langchain.repairing import repair
from session_router_langchain.target import Target, origin_in, target_of
from support.provider_messages import (
    APPROVAL,
    CODE,
    COMPACTION,
    COMPUTER,
    CUSTOM,
    FUNCTION_CALL,
    GEMINI_CALL,
    GEMINI_CODE,
    GEMINI_RESULT,
    GEMINI_THOUGHT,
    IMAGE,
    MCP_RESULT,
    MCP_USE,
    PATCH,
    REASONING,
    REDACTED,
    SERVER_RESULT,
    SERVER_SEARCH,
    THINKING,
    TOOL_USE,
    WEB_SEARCH,
    anthropic_message,
    google_message,
    openai_message,
    said,
)

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

MODELS: dict[str, BaseChatModel] = {
    "chat": ChatOpenAI(model="gpt-4o", api_key="a"),
    "items": ChatOpenAI(model="gpt-5", api_key="b", use_responses_api=True),
    "items-elsewhere": ChatOpenAI(model="gpt-5-mini", api_key="c", use_responses_api=True),
    "previous": ChatOpenAI(model="gpt-6", api_key="d", use_previous_response_id=True),
    "claude": ChatAnthropic(model="claude-plain", api_key="e", timeout=None, stop=None),
    "thinks": ChatAnthropic(
        model="claude-thinks", api_key="f", thinking={"type": "enabled", "budget_tokens": 1024}, max_tokens=4_000, timeout=None, stop=None
    ),
    "gemini": ChatGoogleGenerativeAI(model="gemini-3-pro", api_key="g"),
}
TARGETS = {name: target_of(name, model) for name, model in MODELS.items()}
ORIGIN = origin_in(
    {
        ModelName(name): ModelSpec(model=MODELS[name], dialect=one.dialect, account=one.account, provider_ids=one.provider_ids)
        for name, one in TARGETS.items()
    }
)
MARKER = {"cache_control": {"type": "ephemeral"}}
CITED = {
    "type": "text",
    "text": "Found.",
    "citations": [{"type": "web_search_result_location", "url": "u", "title": "t", "cited_text": "c", "encrypted_index": "sealed"}],
}
SHOT = ToolMessage(
    [{"type": "input_image", "image_url": "data:image/png;base64,aW1n"}],
    tool_call_id="call_2",
    additional_kwargs={"type": "computer_call_output"},
)
APPROVED = HumanMessage([{"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": True}])
PATCHED = HumanMessage([{"type": "apply_patch_call_output", "call_id": "call_3", "status": "completed", "output": "done"}])


def result(call_id: str) -> ToolMessage:
    return ToolMessage("sunny", tool_call_id=call_id, name="weather")


def convertible() -> dict[str, list[BaseMessage]]:
    """Exchanges of every provider that conversion can carry, by a name that says what is in them."""
    exchanges: dict[str, list[BaseMessage]] = {}
    for form in ("v0", "responses/v1", "v1"):
        exchanges |= {
            f"items {form}: call": [openai_message(REASONING, FUNCTION_CALL, output_version=form), result("call_1"), AIMessage("Sunny.")],
            f"items {form}: search": [openai_message(REASONING, WEB_SEARCH, said("Found."), output_version=form)],
            f"items {form}: screen": [openai_message(REASONING, COMPUTER, output_version=form), SHOT, AIMessage("Seen.")],
            f"items {form}: approval": [openai_message(APPROVAL, output_version=form), APPROVED],
            f"items {form}: patch": [openai_message(PATCH, output_version=form), PATCHED],
            f"items {form}: custom": [openai_message(CUSTOM, output_version=form), result("call_4"), AIMessage("Listed.")],
            f"items {form}: image": [openai_message(IMAGE, COMPACTION, said("Drawn."), output_version=form)],
            f"items {form}: only thought": [openai_message(REASONING, output_version=form)],
        }
    for form in ("v0", "v1"):
        exchanges |= {
            f"claude {form}: call": [anthropic_message(THINKING, TOOL_USE, output_version=form), result("toolu_1"), AIMessage("Sunny.")],
            f"claude {form}: hidden": [anthropic_message(REDACTED, {"type": "text", "text": "Yes."}, output_version=form)],
            f"claude {form}: search": [anthropic_message(THINKING, SERVER_SEARCH, SERVER_RESULT, CITED, output_version=form)],
            f"claude {form}: mcp": [anthropic_message(MCP_USE, MCP_RESULT, {"type": "text", "text": "Paid."}, output_version=form)],
            f"gemini {form}: call": [google_message(GEMINI_THOUGHT, GEMINI_CALL, output_version=form), result("g1"), AIMessage("Sunny.")],
            f"gemini {form}: code": [google_message(GEMINI_CODE, GEMINI_RESULT, {"text": "2."}, output_version=form)],
            f"gemini {form}: image": [
                google_message({"text": "See.", "thought_signature": b"sig"}, {"inline_data": {"mime_type": "image/png", "data": b"i"}})
            ],
        }
    return exchanges


EXCHANGES = convertible()
QUESTIONS: list[BaseMessage] = [
    HumanMessage("And now?"),
    HumanMessage([{"type": "text", "text": "And now?", **MARKER}]),
    HumanMessage(
        [{"type": "text", "text": "Read."}, {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a"}}]
    ),
    HumanMessage([{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aW1n"}}]),
    HumanMessage([{"type": "input_text", "text": "And now?"}]),
    HumanMessage([{"type": "media", "mime_type": "image/png", "data": "aW1n"}]),
]
histories = st.lists(st.tuples(st.sampled_from(QUESTIONS), st.sampled_from(sorted(EXCHANGES))), max_size=4).map(
    lambda turns: [message for question, name in turns for message in (question, *EXCHANGES[name])] + [HumanMessage("Go on.")]
)
targets = st.sampled_from(sorted(TARGETS))

# Everything that only its maker can read, as it stands in the exchanges above.
SEALS = (
    "sealed",
    "signed",
    "c2ln",
    "rs_1",
    "fc_1",
    "msg_1",
    "ws_1",
    "cu_1",
    "apc_1",
    "mcpr_1",
    "ctc_1",
    "ig_1",
    "cmp_1",
    "resp_1",
    "srvtoolu_1",
)


def payload(name: str, messages: list[BaseMessage]) -> str:
    model: Any = MODELS[name]
    if name == "gemini":
        return str(model._prepare_request(messages))
    return json.dumps(model._get_request_payload(messages), default=str)


class TestLaws:
    @settings(max_examples=150, deadline=None)
    @given(messages=histories, name=targets)
    def test_what_was_converted_is_portable_and_converting_again_changes_nothing(self, messages: list[BaseMessage], name: str) -> None:
        target = TARGETS[name]
        before = copy.deepcopy(messages)
        report = portability_report(messages, target, origin=ORIGIN)
        carried = convert(messages, target, origin=ORIGIN)
        assert messages == before
        assert report.convertible
        assert portability_report(carried, target, origin=ORIGIN).portable
        assert convert(carried, target, origin=ORIGIN) is carried
        # Nothing is reported without a change, and nothing is changed without a report.
        assert (carried is messages) == report.portable
        changed = {item.message for item in report.items}
        kept = {id(message) for message in carried}
        assert all((id(message) in kept) or index in changed for index, message in enumerate(messages))

    @settings(max_examples=100, deadline=None)
    @given(messages=histories, name=targets)
    def test_no_word_and_no_call_is_lost(self, messages: list[BaseMessage], name: str) -> None:
        carried = convert(messages, TARGETS[name], origin=ORIGIN)
        told = "\n".join(message.text for message in carried)
        for message in messages:
            assert message.text in told
        calls = [call["id"] for message in messages if isinstance(message, AIMessage) for call in message.tool_calls]
        assert [call["id"] for message in carried if isinstance(message, AIMessage) for call in message.tool_calls] == calls

    @settings(max_examples=60, deadline=None)
    @given(names=st.lists(st.sampled_from(sorted(EXCHANGES)), min_size=1, max_size=3), target=st.sampled_from(["chat", "claude", "gemini"]))
    def test_the_target_can_write_the_request_and_no_seal_is_in_it(self, names: list[str], target: str) -> None:
        messages = [message for name in names for message in (QUESTIONS[1], *EXCHANGES[name])] + [HumanMessage("Go on.")]
        stranger = Target(name="stranger", dialect=TARGETS[target].dialect, account="nobody")
        written = payload(target, convert(messages, stranger, origin=ORIGIN))
        assert [seal for seal in SEALS if seal in written] == []
        assert ("cache_control" in written) == (target == "claude")

    @pytest.mark.parametrize("name", sorted(EXCHANGES))
    def test_a_model_takes_back_its_own_as_the_very_same_objects(self, name: str) -> None:
        own = {"items": "items", "claude": "thinks", "gemini": "gemini"}[name.partition(" ")[0]]
        messages = [HumanMessage("Hi"), *EXCHANGES[name]]
        assert convert(messages, TARGETS[own], origin=ORIGIN) is messages
        assert convert(messages, TARGETS[own]) is messages
        assert portability_report(messages, TARGETS[own], origin=ORIGIN).portable


class TestConversion:
    def test_the_ids_that_use_previous_response_id_reads_are_gone(self) -> None:
        messages = [HumanMessage("Hi"), openai_message(said("Hello")), HumanMessage("Go on.")]
        assert "previous_response_id" in payload("previous", messages)
        carried = convert(messages, TARGETS["previous"], origin=ORIGIN)
        assert "previous_response_id" not in payload("previous", carried)
        assert carried[1].id is None

    @pytest.mark.parametrize("form", ["responses/v1", "v1"])
    def test_without_its_sealed_thought_a_message_gives_up_all_its_ids(self, form: str) -> None:
        target = TARGETS["items"]
        sibling = Target(name="sibling", dialect=target.dialect, account=target.account)
        sealed = [HumanMessage("Hi"), *EXCHANGES[f"items {form}: call"], openai_message(said("Hello"), output_version=form)]
        carried = convert(sealed, sibling, origin=ORIGIN)
        assert "rs_1" not in str(carried[1].content)
        assert "fc_1" not in str(carried[1].content)
        # On the same account an id alone is known to every model.
        assert carried[-1] is sealed[-1]

    def test_a_search_is_told_with_its_query_and_what_it_found(self) -> None:
        (told,) = convert([anthropic_message(SERVER_SEARCH, SERVER_RESULT)], TARGETS["chat"], origin=ORIGIN)
        for word in ("web_search", "locks", "https://a.example", "Locks"):
            assert word in told.text

    def test_a_call_stays_once_and_its_foreign_block_goes(self) -> None:
        carried = convert(EXCHANGES["claude v0: call"], TARGETS["items"], origin=ORIGIN)
        assert isinstance(carried[0], AIMessage)
        assert carried[0].content == ""
        assert [call["id"] for call in carried[0].tool_calls] == ["toolu_1"]
        assert payload("items", [HumanMessage("Hi"), *carried]).count('"weather"') == 1

    def test_a_message_of_which_nothing_is_left_goes(self) -> None:
        messages = [HumanMessage("Hi"), openai_message(REASONING), HumanMessage("Go on.")]
        assert convert(messages, TARGETS["claude"], origin=ORIGIN) == [messages[0], messages[2]]

    def test_an_answered_screen_becomes_what_a_human_shows(self) -> None:
        call = openai_message(COMPUTER, FUNCTION_CALL)
        carried = convert([HumanMessage("Hi"), call, SHOT, result("call_1")], TARGETS["claude"], origin=ORIGIN)
        assert [type(message) for message in carried] == [HumanMessage, AIMessage, ToolMessage, HumanMessage]
        assert {"type": "image", "base64": "aW1n", "mime_type": "image/png"} in carried[-1].content

    @pytest.mark.parametrize("form", ["v0", "responses/v1", "v1"])
    @pytest.mark.parametrize(("asked", "answer"), [(COMPUTER, SHOT), (APPROVAL, APPROVED), (PATCH, PATCHED)])
    def test_what_answers_a_client_block_follows_it_into_text(self, form: str, asked: dict[str, Any], answer: BaseMessage) -> None:
        messages = [HumanMessage("Hi"), openai_message(asked, output_version=form), answer]
        written = payload("items-elsewhere", convert(messages, TARGETS["items-elsewhere"], origin=ORIGIN))
        for word in ("computer_call_output", "mcp_approval_response", "apply_patch_call_output", "function_call_output"):
            assert word not in written

    @pytest.mark.parametrize("form", ["v0", "responses/v1", "v1"])
    def test_a_call_is_not_told_when_the_client_writes_it_anyway(self, form: str) -> None:
        messages = [HumanMessage("Hi"), openai_message(REASONING, FUNCTION_CALL, output_version=form)]
        _, carried = convert(messages, TARGETS["claude"], origin=ORIGIN)
        assert carried.text == ""

    def test_results_in_anthropics_form_become_tool_messages(self) -> None:
        block = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny", "is_error": True}
        asked = anthropic_message(TOOL_USE)
        carried = convert([asked, HumanMessage([block, {"type": "text", "text": "Go on."}])], TARGETS["chat"], origin=ORIGIN)
        assert isinstance(carried[1], ToolMessage)
        assert (carried[1].tool_call_id, carried[1].status, carried[1].text) == ("toolu_1", "error", "sunny")
        assert carried[2].text == "Go on."

    def test_sealed_results_go_to_no_other_account_of_the_same_dialect(self) -> None:
        messages = [HumanMessage("Hi"), anthropic_message(SERVER_SEARCH, SERVER_RESULT, CITED), HumanMessage("Go on.")]
        assert "sealed" not in payload("claude", convert(messages, TARGETS["claude"], origin=ORIGIN))
        assert "server_tool_use" not in payload("claude", convert(messages, TARGETS["claude"], origin=ORIGIN))

    @pytest.mark.parametrize(
        ("block", "standard"),
        [
            (
                {"type": "document", "title": "A", "source": {"type": "base64", "media_type": "application/pdf", "data": "aa=="}},
                {"type": "file", "base64": "aa==", "mime_type": "application/pdf", "filename": "A"},
            ),
            ({"type": "document", "source": {"type": "url", "url": "https://a.example"}}, {"type": "file", "url": "https://a.example"}),
            ({"type": "document", "source": {"type": "text", "data": "abc"}}, {"type": "text", "text": "abc"}),
            ({"type": "document", "source": {"type": "content", "content": "abc"}}, {"type": "text", "text": "abc"}),
            ({"type": "image", "source": {"type": "url", "url": "https://a.example"}}, {"type": "image", "url": "https://a.example"}),
            ({"type": "input_image", "image_url": "https://a.example"}, {"type": "image", "url": "https://a.example"}),
            ({"type": "input_file", "file_id": "file-1"}, {"type": "file", "file_id": "file-1"}),
            ({"type": "media", "mime_type": "video/mp4", "data": b"aa"}, {"type": "video", "base64": "YWE=", "mime_type": "video/mp4"}),
        ],
    )
    def test_a_users_foreign_blocks_take_the_standard_form(self, block: dict[str, Any], standard: dict[str, Any]) -> None:
        (carried,) = convert([HumanMessage([block])], TARGETS["chat"])
        assert carried.content == [standard]

    def test_a_summary_of_the_conversation_is_kept_as_text(self) -> None:
        message = AIMessage([{"type": "compaction", "content": "They met."}], response_metadata={"model_provider": "anthropic"})
        (carried,) = convert([message], TARGETS["chat"])
        assert "They met." in carried.text

    def test_a_paused_turn_is_handed_over_with_a_word_to_go_on(self) -> None:
        paused = anthropic_message(THINKING, SERVER_SEARCH, stop_reason="pause_turn")
        carried = convert([HumanMessage("Hi"), paused], TARGETS["chat"], origin=ORIGIN)
        assert isinstance(carried[-1], HumanMessage)
        assert convert(carried, TARGETS["chat"], origin=ORIGIN) is carried


class TestRunningLoops:
    """Anthropic with thinking switched on demands a signed thought at the head of a running loop."""

    def loop(self, first: AIMessage, call_id: str) -> list[BaseMessage]:
        return [HumanMessage("Weather?"), first, result(call_id)]

    def test_a_foreign_loop_is_told_to_a_thinking_target(self) -> None:
        messages = self.loop(openai_message(FUNCTION_CALL), "call_1")
        carried = convert(messages, TARGETS["thinks"], origin=ORIGIN)
        assert all(isinstance(message, HumanMessage) for message in carried)
        for word in ("weather", "Paris", "sunny"):
            assert word in carried[-1].text
        assert not portability_report(messages, TARGETS["thinks"], origin=ORIGIN).portable

    def test_a_plain_loop_too_although_nothing_in_it_is_tied(self) -> None:
        call = AIMessage("", tool_calls=[{"name": "weather", "args": {}, "id": "1"}])
        messages = self.loop(call, "1")
        assert portability_report(messages, TARGETS["claude"], origin=ORIGIN).portable
        assert len(convert(messages, TARGETS["thinks"], origin=ORIGIN)) == 2

    def test_the_targets_own_loop_stays(self) -> None:
        messages = self.loop(anthropic_message(THINKING, TOOL_USE), "toolu_1")
        assert convert(messages, TARGETS["thinks"], origin=ORIGIN) is messages

    def test_the_targets_own_loop_stays_although_it_did_not_think_again(self) -> None:
        again = anthropic_message({**TOOL_USE, "id": "toolu_2"})
        messages = [*self.loop(anthropic_message(THINKING, TOOL_USE), "toolu_1"), again, result("toolu_2")]
        assert convert(messages, TARGETS["thinks"], origin=ORIGIN) is messages

    @pytest.mark.parametrize("humans", [1, 2, 3])
    def test_a_loop_that_users_gave_up_is_told_with_the_one_that_runs(self, humans: int) -> None:
        # What they said reaches the provider in one message with the results before it: these would be taken for a running loop's.
        given_up = self.loop(openai_message({**FUNCTION_CALL, "call_id": "call_0"}), "call_0")
        spoken = [HumanMessage(f"Hello? {number}") for number in range(humans)]
        messages = [*given_up, *spoken, openai_message(FUNCTION_CALL), result("call_1")]
        carried = convert(messages, TARGETS["thinks"], origin=ORIGIN)
        assert all(isinstance(message, HumanMessage) for message in carried)
        assert carried[-humans:] == spoken
        assert carried[-humans - 1].text.count("sunny") == 2

    @pytest.mark.parametrize("content", ["", [], [{"type": "text", "text": " "}]])
    def test_a_loop_that_ended_with_nothing_said_is_told_as_one_that_runs(self, content: Any) -> None:
        loop = self.loop(openai_message(FUNCTION_CALL), "call_1")
        carried = convert([*loop, AIMessage(content), HumanMessage("Hello?")], TARGETS["thinks"], origin=ORIGIN)
        assert all(isinstance(message, HumanMessage) for message in carried)
        assert [message.text for message in carried[::2]] == ["Weather?", "Hello?"]

    def test_a_finished_loop_stays(self) -> None:
        messages = [*self.loop(openai_message(FUNCTION_CALL), "call_1"), AIMessage("Sunny."), HumanMessage("Thanks.")]
        carried = convert(messages, TARGETS["thinks"], origin=ORIGIN)
        assert [type(message) for message in carried] == [type(message) for message in messages]

    def test_no_other_target_is_told(self) -> None:
        messages = self.loop(anthropic_message(THINKING, TOOL_USE), "toolu_1")
        carried = convert(messages, TARGETS["claude"], origin=ORIGIN)
        assert [type(message) for message in carried] == [type(message) for message in messages]


class TestBeginning:
    """Anthropic demands that a human speaks first; a greeting of the assistant, or a history that was cut short, comes first elsewhere."""

    GREETING: list[BaseMessage] = [AIMessage("Hello, what can I do?"), HumanMessage("Hi")]  # noqa: RUF012 -- read only
    CUT: list[BaseMessage] = [AIMessage("", tool_calls=[{"name": "weather", "args": {}, "id": "1"}]), result("1")]  # noqa: RUF012 -- as above
    SYSTEM = SystemMessage("Be brief.")

    @pytest.mark.parametrize("system", [[], [SYSTEM]])
    @pytest.mark.parametrize("history", [GREETING, CUT])
    @pytest.mark.parametrize("name", sorted(TARGETS))
    def test_a_human_begins_where_one_must(self, name: str, history: list[BaseMessage], system: list[BaseMessage]) -> None:
        messages = [*system, *history]
        before = copy.deepcopy(messages)
        carried = convert(messages, TARGETS[name], origin=ORIGIN)
        assert messages == before
        assert convert(carried, TARGETS[name], origin=ORIGIN) is carried
        if name in {"claude", "thinks"}:
            assert isinstance(carried[len(system)], HumanMessage)
            assert carried[: len(system)] == system
            written: Any = MODELS[name]
            assert written._get_request_payload(carried)["messages"][0]["role"] == "user"
        else:
            assert carried is messages
        if name == "claude":
            assert carried[len(system) + 1 :] == history

    def test_what_a_human_begins_stays(self) -> None:
        messages = [self.SYSTEM, HumanMessage("Hi"), AIMessage("Hello.")]
        assert convert(messages, TARGETS["claude"]) is messages
        assert convert([], TARGETS["claude"]) == []

    def test_it_begins_where_nothing_is_left_of_what_came_first(self) -> None:
        messages = [openai_message(REASONING), AIMessage("Hello."), HumanMessage("Hi")]
        carried = convert(messages, TARGETS["claude"], origin=ORIGIN)
        assert [type(message) for message in carried] == [HumanMessage, AIMessage, HumanMessage]
        assert carried[1:] == messages[1:]


class TestWhatCannotMove:
    CONTAINER = {"id": "container_1", "expires_at": "2026-01-01T00:00:00Z"}  # noqa: RUF012 -- read only

    @pytest.mark.parametrize(
        "message",
        [
            openai_message(CODE),
            openai_message(CODE, output_version="v0"),
            openai_message(CODE, output_version="v1"),
            anthropic_message({"type": "text", "text": "Hi"}, container=CONTAINER),
            HumanMessage([{"type": "file", "file_id": "file_01"}]),
            HumanMessage([{"type": "media", "mime_type": "video/mp4", "file_uri": "gs://a/b"}]),
        ],
    )
    def test_containers_and_files_stop_the_conversion(self, message: BaseMessage) -> None:
        report = portability_report([message], TARGETS["chat"], origin=ORIGIN)
        assert not report.convertible
        assert "cannot move" in str(report)
        with pytest.raises(Unportable, match="`chat` cannot take message 0"):
            convert([message], TARGETS["chat"], origin=ORIGIN)

    def test_a_file_at_openai_goes_to_both_of_its_apis_and_to_nobody_else(self) -> None:
        messages = [HumanMessage([{"type": "file", "file": {"file_id": "file-1"}}])]
        assert convert(messages, TARGETS["chat"]) is messages
        assert convert(messages, TARGETS["items"]) is messages
        with pytest.raises(Unportable):
            convert(messages, TARGETS["claude"])


class TestReport:
    def test_it_reads_like_a_list(self) -> None:
        messages = [HumanMessage("Hi"), anthropic_message(THINKING, SERVER_SEARCH, SERVER_RESULT, TOOL_USE)]
        report = portability_report(messages, TARGETS["chat"], origin=ORIGIN)
        assert {(item.message, item.kind, item.change) for item in report.items} == {
            (1, BindingKind.SIGNED_THINKING, Change.STRIPPED),
            (1, BindingKind.SERVER_TOOL_BLOCK, Change.REWRITTEN),
            (1, BindingKind.ENCRYPTED_REASONING, Change.STRIPPED),
        }
        assert str(report).splitlines()[0] == "`chat` takes this history converted:"
        assert "message 1: signed thinking stripped" in str(report)
        assert str(portability_report([], TARGETS["chat"])) == "`chat` takes this history as it is"

    def test_a_target_whose_account_nobody_knows_still_takes_back_its_own(self) -> None:
        fake = FakeListChatModel(responses=["a"])
        target = target_of("fake", fake)
        own = openai_message(said("Hi")).model_copy(update={"response_metadata": {"id": "resp_1", "session_router": {"model": "fake"}}})
        assert target.account == "route:fake"
        assert portability_report([own], target).portable

    def test_without_routes_a_message_is_the_targets_own_or_a_strangers(self) -> None:
        own = anthropic_message(THINKING, TOOL_USE, model="claude-thinks-20260101")
        assert portability_report([own], TARGETS["thinks"]).portable
        stamped = own.model_copy(update={"response_metadata": {**own.response_metadata, "session_router": {"model": "other"}}})
        assert not portability_report([stamped], TARGETS["thinks"]).portable


@tool
def search(query: str) -> str:
    """Search."""
    return query


class TestCacheMarkersOfTheRequest:
    def test_they_go_from_system_tools_and_settings(self) -> None:
        system = SystemMessage([{"type": "text", "text": "Be kind.", **MARKER}])
        marked = search.model_copy(update={"extras": {**MARKER, "other": 1}})
        tools = [marked, {"name": "a", **MARKER}, {"name": "b", "extras": dict(MARKER)}, search]
        model_settings = {"temperature": 0, **MARKER, "prompt_cache_key": "k", "extra_headers": {"X-Session-Affinity": "s"}}
        changed = without_cache_markers(system, tools, model_settings, dialect="google-genai")
        assert "cache_control" not in str(changed)
        assert changed["model_settings"] == {"temperature": 0}
        assert changed["tools"][0].extras == {"other": 1}
        assert changed["tools"][3] is search
        assert marked.extras == {**MARKER, "other": 1}

    def test_anthropic_keeps_its_markers_and_openai_its_key(self) -> None:
        system = SystemMessage([{"type": "text", "text": "Be kind.", **MARKER}])
        assert without_cache_markers(system, [{"name": "a", **MARKER}], dict(MARKER), dialect="anthropic") == {}
        assert strip_cache_markers_from_settings({"prompt_cache_key": "k"}, dialect="openai-responses") == {"prompt_cache_key": "k"}

    def test_what_has_none_stays_the_same_object(self) -> None:
        system, tools, model_settings = SystemMessage([{"type": "text", "text": "a"}]), [search, {"name": "a"}], {"temperature": 0}
        assert strip_cache_markers_from_system(system) is system
        assert strip_cache_markers_from_tools(tools) is tools
        assert strip_cache_markers_from_settings(model_settings) is model_settings


messages_of_any_order = st.lists(
    st.one_of(
        st.just("human"),
        st.tuples(st.just("ai"), st.lists(st.sampled_from("abcde"), max_size=3, unique=True)),
        st.tuples(st.just("tool"), st.sampled_from("abcde")),
    ),
    max_size=12,
)


def built(shape: list[Any]) -> list[BaseMessage]:
    """Messages in any order; an AI message makes its calls' ids its own, so that no two calls share one."""
    messages: list[BaseMessage] = []
    latest: dict[str, str] = {}
    for index, one in enumerate(shape):
        if one == "human":
            messages.append(HumanMessage("Hi"))
        elif one[0] == "ai":
            latest |= {name: f"{name}{index}" for name in one[1]}
            messages.append(AIMessage("", tool_calls=[{"name": name, "args": {}, "id": latest[name]} for name in one[1]]))
        else:
            messages.append(ToolMessage("ok", tool_call_id=latest.get(one[1], "gone")))
    return messages


class TestRepair:
    @settings(max_examples=300, deadline=None)
    @given(shape=messages_of_any_order)
    def test_every_call_is_answered_once_and_at_once_and_nothing_else_is(self, shape: list[Any]) -> None:
        messages = built(shape)
        before = copy.deepcopy(messages)
        repaired = list(repair(messages))
        assert messages == before
        assert repair(repaired) is repaired
        open_calls: set[str] = set()
        for message in repaired:
            if isinstance(message, ToolMessage):
                assert message.tool_call_id in open_calls
                open_calls.remove(message.tool_call_id)
                continue
            assert not open_calls
            if isinstance(message, AIMessage):
                open_calls = {call["id"] or "" for call in message.tool_calls}
        kept = {id(message) for message in repaired}
        assert all(id(message) in kept for message in messages if not isinstance(message, ToolMessage))

    def test_what_is_whole_stays_the_same_sequence(self) -> None:
        call = AIMessage("", tool_calls=[{"name": "weather", "args": {}, "id": "1"}])
        for messages in ([HumanMessage("Hi"), call, result("1")], [HumanMessage("Hi"), call], [], [call, result("1"), AIMessage("Done.")]):
            assert repair(messages) is messages

    def test_an_abandoned_call_gets_a_result_that_says_that_nobody_knows(self) -> None:
        call = AIMessage(
            "",
            tool_calls=[{"name": "weather", "args": {}, "id": "1"}, {"name": "weather", "args": {}, "id": "2"}],
            invalid_tool_calls=[{"name": "pay", "args": "{", "id": "3", "error": None, "type": "invalid_tool_call"}],
        )
        repaired = repair([HumanMessage("Hi"), call, result("2"), HumanMessage("Never mind.")])
        unknown = [message for message in repaired if isinstance(message, ToolMessage) and message.status == "error"]
        assert [(message.tool_call_id, message.name) for message in unknown] == [("1", "weather"), ("3", "pay")]
        assert all("may or may not have run" in message.text for message in unknown)
        assert repaired[2].text == "sunny"

    def test_a_result_whose_call_is_gone_becomes_text(self) -> None:
        trimmed = repair([result("gone"), HumanMessage("Hi")])
        assert isinstance(trimmed[0], HumanMessage)
        assert "sunny" in trimmed[0].text
        assert "weather" in trimmed[0].text

    @pytest.mark.parametrize("form", ["v0", "responses/v1", "v1"])
    @pytest.mark.parametrize("item", [COMPUTER, PATCH, APPROVAL])
    def test_an_abandoned_client_block_becomes_text(self, form: str, item: dict[str, Any]) -> None:
        messages = [HumanMessage("Hi"), openai_message(REASONING, item, output_version=form), HumanMessage("Never mind.")]
        repaired = list(repair(messages))
        written = payload("items", repaired).replace(repaired[1].text, "")
        assert item["type"] not in written
        assert "rs_1" not in written
        assert "never finished" in repaired[1].text
        assert repair(repaired) is repaired

    def test_a_client_block_that_is_answered_stays(self) -> None:
        messages = [HumanMessage("Hi"), openai_message(APPROVAL), APPROVED, openai_message(said("Done.")), HumanMessage("Thanks.")]
        assert repair(messages) is messages

    def test_a_paused_tool_becomes_text_once_a_human_goes_on_and_not_before(self) -> None:
        paused = anthropic_message(THINKING, SERVER_SEARCH, stop_reason="pause_turn")
        waiting = [HumanMessage("Hi"), paused]
        assert repair(waiting) is waiting
        resumed = [*waiting, anthropic_message(SERVER_RESULT, CITED), HumanMessage("Thanks.")]
        assert repair(resumed) is resumed
        mixed = anthropic_message(SERVER_SEARCH, TOOL_USE, stop_reason="tool_use")
        pictured = HumanMessage("See.", additional_kwargs={"lc_source": "files"})
        running = [HumanMessage("Hi"), mixed, result("toolu_1"), pictured, anthropic_message(SERVER_RESULT, CITED)]
        assert repair(running) is running
        abandoned = list(repair([*waiting, HumanMessage("Never mind.")]))
        assert "never finished" in abandoned[1].text
        assert "server_tool_use" not in payload("thinks", abandoned)
