"""Asks, answers and ties, on messages that the providers' own clients made."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_google_genai import ChatGoogleGenerativeAI
from langchain_openai import AzureChatOpenAI, ChatOpenAI

from session_router.core.binding import Binding, BindingKind, BindingReach
from session_router.core.step import Ask, AskKind
from session_router_langchain.bindings import bindings_of
from session_router_langchain.blocks import answers_of, asks_of
from session_router_langchain.dialects import account_of, dialect_of
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

OPENAI_FORMS = ("v0", "responses/v1", "v1")
KEY = "sk-not-a-secret"


def openai(**settings: Any) -> ChatOpenAI:
    return ChatOpenAI(**{"model": "gpt-4o", "api_key": KEY, **settings})


def anthropic(**settings: Any) -> ChatAnthropic:
    return ChatAnthropic(**{"model": "claude-thinks", "api_key": KEY, "timeout": None, "stop": None, **settings})


class TestDialect:
    @pytest.mark.parametrize(
        "settings",
        [
            {"use_responses_api": True},
            {"output_version": "responses/v1"},
            {"reasoning": {"effort": "low"}},
            {"include": ["reasoning.encrypted_content"]},
            {"truncation": "auto"},
            {"use_previous_response_id": True},
            {"model": "gpt-5-codex"},
            {"model_kwargs": {"text": {"verbosity": "low"}}},
        ],
    )
    def test_the_responses_api_is_recognised_as_the_client_itself_does(self, settings: dict[str, Any]) -> None:
        model = openai(**settings)
        assert dialect_of(model) == "openai-responses"
        assert "input" in model._get_request_payload([HumanMessage("Hi")])

    @pytest.mark.parametrize("settings", [{}, {"use_responses_api": False, "reasoning": {"effort": "low"}}, {"output_version": "v0"}])
    def test_chat_completions_otherwise(self, settings: dict[str, Any]) -> None:
        model = openai(**settings)
        assert dialect_of(model) == "openai-chat"
        assert "messages" in model._get_request_payload([HumanMessage("Hi")])

    def test_tools_and_settings_of_the_request_count(self) -> None:
        assert dialect_of(openai(), tools=[{"type": "web_search"}]) == "openai-responses"
        assert dialect_of(openai(), tools=[{"type": "function", "function": {"name": "f"}}, object()]) == "openai-chat"
        assert dialect_of(openai(), settings={"previous_response_id": "resp_1"}) == "openai-responses"

    def test_other_providers(self) -> None:
        azure = AzureChatOpenAI(azure_endpoint="https://a.example", api_version="1", azure_deployment="d", api_key=KEY)
        assert dialect_of(azure) == "openai-chat"
        assert dialect_of(anthropic()) == "anthropic"
        assert dialect_of(ChatGoogleGenerativeAI(model="gemini-3-pro", api_key=KEY)) == "google-genai"
        assert dialect_of(FakeListChatModel(responses=["a"])) == "fake-list-chat-model"


class TestAccount:
    def test_the_same_endpoint_and_key_are_one_account_whatever_the_model(self) -> None:
        assert account_of(openai()) == account_of(openai(model="gpt-5", use_responses_api=True)) != ""
        assert account_of(anthropic()) == account_of(anthropic(model="claude-other"))

    def test_key_endpoint_organization_and_provider_tell_accounts_apart(self) -> None:
        models = [
            openai(),
            openai(api_key="sk-other"),
            openai(base_url="https://gateway.example/v1"),
            openai(organization="org"),
            anthropic(),
            anthropic(api_key="other"),
            anthropic(base_url="https://gateway.example/v1"),
            ChatGoogleGenerativeAI(model="gemini-3-pro", api_key=KEY),
        ]
        assert len({account_of(model) for model in models}) == len(models)

    def test_the_key_is_not_in_it_and_nothing_known_is_empty(self) -> None:
        assert KEY not in account_of(openai())
        assert account_of(FakeListChatModel(responses=["a"])) == ""

    def test_a_key_that_only_a_callable_knows_is_not_asked_for(self) -> None:
        def secret() -> str:
            raise AssertionError

        assert account_of(openai(api_key=secret)) == ""


class TestAsks:
    def test_calls_come_first_and_in_order(self) -> None:
        message = AIMessage(
            "",
            tool_calls=[{"name": "a", "args": {}, "id": "1"}, {"name": "b", "args": {}, "id": "2"}],
            invalid_tool_calls=[
                {"name": "c", "args": "{", "id": "3", "error": None, "type": "invalid_tool_call"},
                {"name": "d", "args": "{", "id": None, "error": None, "type": "invalid_tool_call"},
            ],
        )
        assert asks_of(message) == (Ask(id="1"), Ask(id="2"), Ask(id="3", kind=AskKind.INVALID_CALL))

    @pytest.mark.parametrize("form", OPENAI_FORMS)
    def test_client_blocks_of_the_responses_api(self, form: str) -> None:
        message = openai_message(REASONING, COMPUTER, PATCH, APPROVAL, FUNCTION_CALL, output_version=form)
        asked = {ask.id: ask.kind for ask in asks_of(message)}
        blocks = dict.fromkeys(("call_2", "call_3", "mcpr_1"), AskKind.CLIENT_BLOCK)
        assert asked == {"call_1": AskKind.TOOL_CALL, **blocks}

    @pytest.mark.parametrize("form", OPENAI_FORMS)
    def test_a_client_block_answered_in_the_same_message_asks_for_nothing(self, form: str) -> None:
        output = {"type": "apply_patch_call_output", "id": "apco_1", "call_id": "call_3", "status": "completed", "output": "ok"}
        assert asks_of(openai_message(PATCH, output, output_version=form)) == ()

    @pytest.mark.parametrize("form", OPENAI_FORMS)
    def test_openai_runs_its_own_tools_to_their_end(self, form: str) -> None:
        assert asks_of(openai_message(WEB_SEARCH, CODE, IMAGE, COMPACTION, said("Here."), output_version=form)) == ()

    @pytest.mark.parametrize("form", ["v0", "v1"])
    def test_an_unfinished_server_tool_of_anthropic(self, form: str) -> None:
        paused = anthropic_message(THINKING, SERVER_SEARCH, stop_reason="pause_turn", output_version=form)
        assert asks_of(paused) == (Ask(id="srvtoolu_1", kind=AskKind.SERVER_TOOL),)
        finished = anthropic_message(THINKING, SERVER_SEARCH, SERVER_RESULT, MCP_USE, MCP_RESULT, output_version=form)
        assert asks_of(finished) == ()
        half = anthropic_message(SERVER_SEARCH, SERVER_RESULT, MCP_USE, TOOL_USE, output_version=form)
        assert asks_of(half) == (Ask(id="toolu_1"), Ask(id="mcptoolu_1", kind=AskKind.SERVER_TOOL))

    def test_a_pause_without_a_dangling_block_still_waits(self) -> None:
        message = anthropic_message(SERVER_SEARCH, SERVER_RESULT, stop_reason="pause_turn")
        assert [ask.kind for ask in asks_of(message)] == [AskKind.SERVER_TOOL]

    @pytest.mark.parametrize("form", ["v0", "v1"])
    def test_gemini_runs_code_to_its_end(self, form: str) -> None:
        message = google_message(GEMINI_CODE, GEMINI_RESULT, GEMINI_CALL, output_version=form)
        assert asks_of(message) == (Ask(id="g1"),)

    def test_text_asks_for_nothing(self) -> None:
        assert asks_of(AIMessage("Hello")) == ()


class TestAnswers:
    def test_tool_results(self) -> None:
        assert answers_of(ToolMessage("ok", tool_call_id="1")) == ("1",)
        assert answers_of(ToolMessage("no", tool_call_id="2", status="error")) == ("2",)

    @pytest.mark.parametrize("wrapped", [False, True])
    @pytest.mark.parametrize(
        ("block", "answered"),
        [
            ({"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": True}, "mcpr_1"),
            ({"type": "apply_patch_call_output", "call_id": "call_3", "status": "completed"}, "call_3"),
            ({"type": "computer_call_output", "call_id": "call_2", "output": {}}, "call_2"),
            ({"type": "tool_search_output", "execution": "client", "call_id": "call_9", "tools": []}, "call_9"),
        ],
    )
    def test_client_blocks_answered_by_a_human(self, block: dict[str, Any], answered: str, wrapped: bool) -> None:
        content: list[Any] = [{"type": "non_standard", "value": block} if wrapped else block]
        assert answers_of(HumanMessage(content)) == (answered,)

    def test_a_tool_message_that_wraps_its_answer_answers_once(self) -> None:
        output = {"type": "computer_call_output", "call_id": "call_2", "output": {}}
        assert answers_of(ToolMessage([{"type": "non_standard", "value": output}], tool_call_id="call_2")) == ("call_2",)

    def test_nothing_else_answers(self) -> None:
        for message in (HumanMessage("Hi"), HumanMessage([{"type": "text", "text": "Hi"}]), AIMessage("Hi"), SystemMessage("Hi")):
            assert answers_of(message) == ()


def ties(message: BaseMessage, dialect: str = "", account: str = "acme") -> set[tuple[str, str, str]]:
    before = copy.deepcopy(message)
    found = bindings_of(message, author="fast", account=account, dialect=dialect)
    assert message == before
    assert len(set(found)) == len(found)
    return {(one.kind.value, one.reach.value, one.holder) for one in found}


ITEM = ("item_id", "account", "acme")
SEALED = ("encrypted_reasoning", "model", "fast")
SIGNED = ("signed_thinking", "model", "fast")
THOUGHT = ("thought_signature", "model", "fast")


def server_tool(dialect: str) -> tuple[str, str, str]:
    return ("server_tool_block", "dialect", dialect)


def foreign(dialect: str) -> tuple[str, str, str]:
    return ("foreign_block", "dialect", dialect)


class TestBindings:
    def test_ordinary_messages_are_tied_to_nothing(self) -> None:
        call: Any = {"name": "weather", "args": {}, "id": "1"}
        plain: list[BaseMessage] = [
            HumanMessage("Hi"),
            SystemMessage([{"type": "text", "text": "Be kind."}]),
            AIMessage("Hello", response_metadata={"model_provider": "openai", "model_name": "gpt-4o", "id": "chatcmpl-1"}),
            AIMessage("", tool_calls=[call], additional_kwargs={"refusal": None}),
            ToolMessage("ok", tool_call_id="1"),
            HumanMessage(
                [{"type": "image", "url": "https://a.example/a.png"}, {"type": "image_url", "image_url": {"url": "https://a.example"}}]
            ),
            anthropic_message({"type": "text", "text": "Hi"}, TOOL_USE),
            anthropic_message({"type": "text", "text": "Hi"}, TOOL_USE, output_version="v1"),
            AIMessage([], tool_calls=[call]),
            AIMessage([{"type": "text", "text": "a", "index": 0}, {"index": 1}]),
        ]
        for message in plain:
            assert ties(message) == set()

    @pytest.mark.parametrize("form", OPENAI_FORMS)
    def test_items_of_the_responses_api(self, form: str) -> None:
        assert ties(openai_message(said("Hi"), output_version=form)) == {ITEM}
        assert ties(openai_message(FUNCTION_CALL, output_version=form)) == {ITEM}
        assert ties(openai_message(REASONING, said("Hi"), output_version=form)) == {ITEM, SEALED}
        assert ties(openai_message(WEB_SEARCH, output_version=form)) == {ITEM, server_tool("openai-responses")}
        container = ("container", "account", "acme")
        assert ties(openai_message(CODE, output_version=form)) == {ITEM, server_tool("openai-responses"), container}
        for client in (COMPUTER, PATCH, APPROVAL):
            assert ties(openai_message(client, output_version=form)) == {ITEM, ("client_tool_block", "dialect", "openai-responses")}
        assert ties(openai_message(IMAGE, output_version=form)) == {ITEM, server_tool("openai-responses")}
        assert ties(openai_message(CUSTOM, output_version=form)) == {ITEM, foreign("openai-responses")}
        assert ties(openai_message(COMPACTION, output_version=form)) == {ITEM, SEALED, foreign("openai-responses")}

    def test_the_ids_of_chat_completions_tie_nothing(self) -> None:
        message = AIMessage("Hi", id="chatcmpl-1", response_metadata={"model_provider": "openai", "id": "chatcmpl-1"})
        assert ties(message, "openai-chat") == set()

    @pytest.mark.parametrize("form", ["v0", "v1"])
    def test_anthropic(self, form: str) -> None:
        assert ties(anthropic_message(THINKING, TOOL_USE, output_version=form)) == {SIGNED}
        assert ties(anthropic_message(REDACTED, TOOL_USE, output_version=form)) == {SIGNED}
        search = anthropic_message(SERVER_SEARCH, SERVER_RESULT, output_version=form)
        assert ties(search) == {server_tool("anthropic"), ("encrypted_reasoning", "account", "acme")}
        assert ties(anthropic_message(MCP_USE, MCP_RESULT, output_version=form)) == {server_tool("anthropic")}
        container = {"id": "container_1", "expires_at": "2026-01-01T00:00:00Z"}
        held = anthropic_message({"type": "text", "text": "Hi"}, container=container, output_version=form)
        assert ties(held) == {("container", "account", "acme")}
        called = {**TOOL_USE, "caller": {"type": "code_execution_20250825", "tool_id": "srvtoolu_1"}}
        assert ties(anthropic_message(called, output_version=form)) == {server_tool("anthropic")}

    @pytest.mark.parametrize("form", ["v0", "v1"])
    def test_gemini(self, form: str) -> None:
        assert ties(google_message(GEMINI_THOUGHT, {"text": "a"}, output_version=form)) == {THOUGHT}
        assert ties(google_message({"text": "a", "thought_signature": b"sig"}, output_version=form)) == {THOUGHT}
        assert ties(google_message(GEMINI_CALL, output_version=form)) == {THOUGHT}
        assert ties(google_message(GEMINI_CODE, GEMINI_RESULT, output_version=form)) == {server_tool("google-genai")}
        image = {"inline_data": {"mime_type": "image/png", "data": b"img"}}
        assert ties(google_message({"text": "a"}, image, output_version=form)) == {foreign("google-genai")}
        unsigned = {"text": "Hm.", "thought": True}
        assert ties(google_message(unsigned, {"text": "a"}, output_version=form)) == {foreign("google-genai")}

    def test_a_mixture_of_texts_and_blocks_is_geminis(self) -> None:
        message = AIMessage(["a", {"type": "text", "text": "b"}], response_metadata={"model_provider": "google_genai"})
        assert ties(message) == {foreign("google-genai")}

    @pytest.mark.parametrize(
        "block",
        [
            {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
            {"type": "text", "text": "a", "extras": {"cache_control": {"type": "ephemeral"}}},
            {"type": "image", "url": "https://a.example", "metadata": {"cache_control": {"type": "ephemeral"}}},
        ],
    )
    @pytest.mark.parametrize("kind", [HumanMessage, SystemMessage, AIMessage])
    def test_cache_markers_wherever_they_are(self, kind: Any, block: dict[str, Any]) -> None:
        assert ("cache_marker", "dialect", "anthropic") in ties(kind([block]))

    @pytest.mark.parametrize(
        ("block", "dialect"),
        [
            ({"type": "input_text", "text": "a"}, "openai-responses"),
            ({"type": "document", "source": {"type": "text", "data": "a", "media_type": "text/plain"}}, "anthropic"),
            ({"type": "image", "source": {"type": "url", "url": "https://a.example"}}, "anthropic"),
            ({"type": "search_result", "source": "a", "title": "b", "content": []}, "anthropic"),
            ({"type": "media", "mime_type": "video/mp4", "data": "aa=="}, "google-genai"),
            ({"type": "file", "file": {"file_data": "data:application/pdf;base64,aa==", "filename": "a.pdf"}}, "openai-chat"),
        ],
    )
    def test_input_in_one_providers_own_form(self, block: dict[str, Any], dialect: str) -> None:
        assert ties(HumanMessage([block])) == {foreign(dialect)}

    @pytest.mark.parametrize(
        ("block", "home"),
        [
            ({"type": "file", "file_id": "file_01"}, "anthropic"),
            ({"type": "image", "source": {"type": "file", "file_id": "x"}}, "anthropic"),
            ({"type": "container_upload", "file_id": "x"}, "anthropic"),
            ({"type": "media", "mime_type": "video/mp4", "file_uri": "gs://a/b"}, "google-genai"),
            ({"type": "file", "file": {"file_id": "file-1"}}, "openai"),
            ({"type": "file", "file_id": "file-1"}, "openai"),
            ({"type": "file", "file_id": "anything"}, ""),
        ],
    )
    def test_uploaded_files_are_on_an_account_or_at_least_with_a_provider(self, block: dict[str, Any], home: str) -> None:
        message = HumanMessage([block])
        known = [one for one in ties(message) if one[0] == "file_id"]
        assert known == [("file_id", "account", "acme")]
        unknown = [one for one in ties(message, account="") if one[0] == "file_id"]
        assert unknown == ([("file_id", "dialect", home)] if home else [])

    @pytest.mark.parametrize("form", ["v0", "v1"])
    def test_a_paused_turn_can_be_resumed_only_where_it_was_paused(self, form: str) -> None:
        paused = anthropic_message(SERVER_SEARCH, stop_reason="pause_turn", output_version=form)
        assert ties(paused) == {server_tool("anthropic"), ("server_tool_block", "account", "acme")}

    def test_answers_to_client_blocks(self) -> None:
        client = ("client_tool_block", "dialect", "openai-responses")
        shot = ToolMessage("data:,", tool_call_id="1", additional_kwargs={"type": "computer_call_output"})
        assert ties(shot) == {client}
        assert ties(HumanMessage([{"type": "mcp_approval_response", "approval_request_id": "1", "approve": True}])) == {client}

    def test_an_unknown_author_leaves_the_holder_open(self) -> None:
        (binding,) = bindings_of(anthropic_message(THINKING, TOOL_USE), author=None, account="", dialect="")
        assert binding == Binding(kind=BindingKind.SIGNED_THINKING, reach=BindingReach.MODEL, holder="")

    def test_what_the_message_says_of_its_provider_goes_before_the_routes_dialect(self) -> None:
        found = bindings_of(google_message(GEMINI_THOUGHT, {"text": "a"}), author="fast", account="acme", dialect="anthropic")
        assert [one.kind for one in found] == [BindingKind.THOUGHT_SIGNATURE]

    def test_spoken_answers(self) -> None:
        spoken = {"id": "audio_1", "transcript": "Hi", "data": "aa==", "expires_at": 1}
        openai_audio = AIMessage("", additional_kwargs={"audio": spoken}, response_metadata={"model_provider": "openai"})
        assert ties(openai_audio, "openai-chat") == {ITEM}
        gemini_audio = AIMessage("", additional_kwargs={"audio": b"RIFF"}, response_metadata={"model_provider": "google_genai"})
        assert ties(gemini_audio) == {foreign("google-genai")}
