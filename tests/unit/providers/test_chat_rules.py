"""Each rule of the Chat Completions API bites, and its good counterpart passes."""

# ruff: noqa: ANN001, ANN002, ANN201 -- fixtures and cases say what they are

import pytest

USER = {"role": "user", "content": "hello"}
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}


def call_of(identifier):
    return {"id": identifier, "type": "function", "function": {"name": "add", "arguments": "{}"}}


def asks(*identifiers):
    return {"role": "assistant", "content": None, "tool_calls": [call_of(identifier) for identifier in identifiers]}


def answers(identifier):
    return {"role": "tool", "tool_call_id": identifier, "content": "7"}


GOOD = [
    [USER],
    [{"role": "system", "content": "be kind"}, USER, {"role": "assistant", "content": "hi"}, USER],
    [USER, asks("a", "b"), answers("b"), answers("a")],
    [USER, asks("a"), answers("a"), {"role": "assistant", "content": "done"}, USER],
    [{"role": "user", "content": [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": "https://example.com"}}]}],
]

BAD = [
    ([USER, asks("a", "b"), answers("a")], "The following tool_call_ids did not have response messages: b"),
    ([USER, asks("a"), USER], "must be followed by tool messages responding to each 'tool_call_id'"),
    ([USER, answers("a")], "messages with role 'tool' must be a response to a preceeding message with 'tool_calls'"),
    ([USER, asks("a"), answers("x")], "'tool_call_id' of 'x' not found"),
    ([USER, {"role": "assistant", "content": [{"type": "thinking", "thinking": "t"}]}], "Invalid value: 'thinking'. Supported values are:"),
    ([USER, {"role": "assistant", "content": [{"type": "tool_use", "id": "x"}]}], "Invalid value: 'tool_use'. Supported values are:"),
    ([{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "x"}]}], "Invalid value: 'tool_result'."),
    ([USER, {"role": "assistant", "content": [{"type": "server_tool_use"}]}], "Invalid value: 'server_tool_use'."),
    ([{"role": "user", "content": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]}], "content[0].cache_control'"),
    ([{"role": "user", "content": [{"type": "text", "text": "x", "index": 0}]}], "Unknown parameter: 'messages[0].content[0].index'."),
    ([{"role": "assistant", "content": [{"type": "image_url", "image_url": {}}]}], "Supported values are: 'text' and 'refusal'."),
    ([{"role": "robot", "content": "x"}], "Invalid value: 'robot'."),
    ([{"role": "user", "content": None}], "expected a string, got null"),
    ([USER, {"role": "assistant", "content": None, "tool_calls": []}], "expected a string, got null"),
    ([USER, {"role": "assistant", "content": "x", "tool_calls": []}], "empty array"),
    ([USER, {**asks("a"), "tool_calls": [{**call_of("a"), "function": {"name": "a.b", "arguments": ""}}]}], "does not match pattern"),
    ([], "empty array"),
]


@pytest.mark.parametrize("messages", GOOD)
def test_good_requests_pass(call, messages):
    call.ok("chat", messages=messages)


@pytest.mark.parametrize(("messages", "words"), BAD)
def test_bad_requests_are_refused(call, messages, words):
    error = call.refused("chat", messages=messages)
    assert words in error["message"]
    assert error["type"] == "invalid_request_error"
    assert set(error) == {"message", "type", "param", "code"}


def test_an_unknown_model_is_not_found(call):
    error = call.refused("chat", 404, model="sim-absent", messages=[USER])
    assert error["code"] == "model_not_found"


def test_anthropic_models_are_not_served_here(call):
    call.refused("chat", 404, model="sim-claude", messages=[USER])


def test_the_context_window_is_a_limit(call):
    call.ok("chat", model="sim-small", messages=[{"role": "user", "content": "x" * 400}])
    error = call.refused("chat", model="sim-small", messages=[{"role": "user", "content": "x" * 401}])
    assert error["code"] == "context_length_exceeded"
    assert "maximum context length is 100 tokens. However, your messages resulted in 101 tokens" in error["message"]


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"thinking": {"type": "enabled"}}, "Unknown parameter: 'thinking'."),
        ({"tool_choice": "required"}, "only allowed when 'tools' are specified"),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "sub"}}}, "no function named 'sub'"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "Invalid 'tools[0].function.name'"),
        ({"tools": [{"name": "add", "input_schema": {}}]}, "Invalid value: ''"),
        ({"response_format": {"type": "json_object"}}, "must contain the word 'json'"),
        ({"stream_options": {"include_usage": True}}, "only allowed when 'stream' is enabled"),
    ],
)
def test_bad_settings_are_refused(call, extra, words):
    assert words in call.refused("chat", messages=[USER], **extra)["message"]


def test_the_key_is_the_account(call):
    assert call("chat", key="", messages=[USER]).status_code == 401
    call.ok("chat", messages=[USER], key="account-b")
    assert [row.account for row in call.providers.ledger.rows] == ["", "account-b"]
    assert call.providers.ledger.client_errors == 1


def test_a_body_that_is_not_json_is_refused(call):
    assert call.post("chat", b"{").status_code == 400
    assert call.post("chat", b"[" * 100_000).status_code == 400


def test_a_refusal_and_a_cut_answer_look_like_openais(scripted):
    from session_router.testing.providers import Reply

    caller = scripted(Reply(text="I will not", stop="refusal"), Reply(text="cut", stop="length"))
    choice = caller.ok("chat", messages=[USER])["choices"][0]
    assert (choice["message"]["content"], choice["message"]["refusal"]) == (None, "I will not")
    assert caller.ok("chat", messages=[USER])["choices"][0]["finish_reason"] == "length"


def test_the_dated_id_is_what_answers_carry(call):
    assert call.ok("chat", messages=[USER])["model"] == "sim-fast-2026-01-01"
    assert call.ok("chat", model="sim-fast-2026-01-01", messages=[USER])["model"] == "sim-fast-2026-01-01"
