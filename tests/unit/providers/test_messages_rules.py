"""Each rule of the Messages API bites, and its good counterpart passes."""

# ruff: noqa: ANN001, ANN002, ANN003, ANN201 -- fixtures and cases say what they are

import pytest

from session_router.testing.providers import Reply, ToolCall, WebSearch

USER = {"role": "user", "content": "hello"}
THINK = {"type": "enabled", "budget_tokens": 1024}
MARK = {"type": "ephemeral"}


def use(identifier):
    return {"type": "tool_use", "id": identifier, "name": "add", "input": {}}


def result(identifier):
    return {"type": "tool_result", "tool_use_id": identifier, "content": "7"}


def user(*blocks):
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks):
    return {"role": "assistant", "content": list(blocks)}


def text(words, **extra):
    return {"type": "text", "text": words, **extra}


GOOD = [
    [USER],
    [USER, USER, assistant(text("hi")), assistant(text("there")), USER],
    [USER, assistant(text("hi"), use("a"), use("b")), user(result("b"), result("a"), text("and now?"))],
    [USER, assistant(use("a")), user(result("a")), assistant(use("b")), user(result("b"))],
    [USER, assistant(use("a")), assistant(use("b")), user(result("a")), user(result("b"))],
    [USER, assistant(text("The answer is"))],
    [user(text("a", cache_control=MARK), text("b", cache_control={**MARK, "ttl": "5m"}))],
]

BAD = [
    ([assistant(text("hi")), USER], 'first message must use the "user" role'),
    ([{"role": "system", "content": "x"}, USER], 'Unexpected role "system"'),
    ([], "messages: at least one message is required"),
    ([USER, assistant(use("a"))], "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: a."),
    ([USER, assistant(use("a"), use("b")), user(result("a"))], "messages.1: `tool_use` ids were found without `tool_result` blocks"),
    ([USER, assistant(use("a")), user(text("wait"), result("a"))], "`tool_use` ids were found without `tool_result` blocks"),
    ([user(result("a"))], "messages.0.content.0: unexpected `tool_use_id` found in `tool_result` blocks: a."),
    ([USER, assistant(use("a")), user(result("a"), result("a"))], "Found multiple `tool_result` blocks with id: a"),
    ([USER, assistant(use("a")), user(result("a")), assistant(use("a")), user(result("a"))], "`tool_use` ids must be unique"),
    ([USER, assistant(use("a.b:0")), user(result("a.b:0"))], "messages.1.content.0.tool_use.id: String should match pattern"),
    (
        [USER, assistant({"type": "reasoning", "summary": []})],
        "Input tag 'reasoning' found using 'type' does not match any of the expected",
    ),
    ([user({"type": "image_url", "image_url": {}})], "Input tag 'image_url' found using 'type'"),
    ([user(text("x", index=0))], "messages.0.content.0.text.index: Extra inputs are not permitted"),
    ([user(text(""))], "text content blocks must be non-empty"),
    ([USER, assistant(), USER], "messages.1: all messages must have non-empty content"),
    ([USER, assistant(text("ends in space "))], "final assistant content cannot end with trailing whitespace"),
    ([user(use("a"))], "`tool_use` blocks can only be in `assistant` messages"),
    ([USER, assistant(result("a"))], "`tool_result` blocks can only be in `user` messages"),
    ([user(*[text(word, cache_control=MARK) for word in "abcde"])], "A maximum of 4 blocks with cache_control may be provided. Found 5."),
    ([user(text("x", cache_control={"type": "forever"}))], "Input tag 'forever'"),
    ([user(text("x", cache_control={**MARK, "ttl": "2h"}))], "ttl: Input should be '5m' or '1h'"),
    (
        [user(text("a", cache_control=MARK), text("b", cache_control={**MARK, "ttl": "1h"}))],
        "a ttl='1h' cache_control block must not come after a ttl='5m'",
    ),
    ([USER, assistant({"type": "thinking", "thinking": "t", "signature": "x"}), USER], "messages.1.content.0: Invalid `signature` in"),
    ([USER, assistant({"type": "thinking", "thinking": "t"}), USER], "messages.1.content.0.thinking.signature: Field required"),
    (
        [USER, assistant({"type": "thinking", "thinking": "t", "signature": "x", "cache_control": MARK}), USER],
        "thinking.cache_control: Extra inputs are not permitted",
    ),
    ([USER, assistant({"type": "redacted_thinking", "data": "x"}), USER], "Invalid `data` in `redacted_thinking` block"),
]


@pytest.mark.parametrize("messages", GOOD)
def test_good_requests_pass(call, messages):
    call.ok("messages", messages=messages)


@pytest.mark.parametrize(("messages", "words"), BAD)
def test_bad_requests_are_refused(call, messages, words):
    answer = call("messages", messages=messages)
    body = answer.json()
    assert answer.status_code == 400
    assert words in body["error"]["message"]
    assert body["type"] == "error"
    assert body["error"]["type"] == "invalid_request_error"
    assert body["request_id"] == answer.headers["request-id"]


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"max_tokens": ...}, "max_tokens: Field required"),
        ({"max_tokens": 0}, "max_tokens: Input should be greater"),
        ({"reasoning": {}}, "reasoning: Extra inputs are not permitted"),
        ({"tools": [{"name": "a b", "input_schema": {}}]}, "tools.0.custom.name: String should match pattern"),
        ({"tools": [{"name": "a"}]}, "tools.0.custom.input_schema: Field required"),
        ({"tools": [{"name": "a", "input_schema": {}}] * 2}, "Tool names must be unique"),
        ({"tool_choice": {"type": "any"}}, "may only be specified while providing `tools`"),
        ({"thinking": {**THINK, "budget_tokens": 100}}, "greater than or equal to 1024"),
        ({"thinking": THINK, "max_tokens": 1024}, "`max_tokens` must be greater than `thinking.budget_tokens`"),
        ({"thinking": THINK, "temperature": 0.5}, "`temperature` may only be set to 1"),
        (
            {"thinking": THINK, "tools": [{"name": "a", "input_schema": {}}], "tool_choice": {"type": "any"}},
            "Thinking may not be enabled when tool_choice forces tool use.",
        ),
    ],
)
def test_bad_settings_are_refused(call, extra, words):
    assert words in call.refused("messages", messages=[USER], **extra)["message"]


def test_an_unknown_model_is_not_found(call):
    assert call.refused("messages", 404, model="sim-absent", messages=[USER]) == {"type": "not_found_error", "message": "model: sim-absent"}


def test_a_long_prompt_is_refused(call):
    call.ok("messages", model="sim-claude-small", messages=[{"role": "user", "content": "x" * 400}])
    error = call.refused("messages", model="sim-claude-small", messages=[{"role": "user", "content": "x" * 401}])
    assert error["message"] == "prompt is too long: 101 tokens > 100 maximum"


def test_headers_are_required(call):
    assert call("messages", key="", messages=[USER]).json()["error"]["type"] == "authentication_error"
    answer = call.post("messages", {"model": "sim-claude"}, **{"anthropic-version": ""})
    assert "anthropic-version: header is required" in answer.text


def test_thinking_belongs_to_the_model_that_wrote_it(call):
    thought = call.ok("messages", messages=[USER], thinking=THINK)["content"]
    assert [block["type"] for block in thought] == ["thinking", "text"]
    history = [USER, assistant(*thought), USER]
    call.ok("messages", messages=history, thinking=THINK)
    call.ok("messages", messages=history)
    error = call.refused("messages", messages=history, model="sim-claude-2")
    assert error["message"] == "messages.1.content.0: Invalid `signature` in `thinking` block"
    changed = [USER, assistant({**thought[0], "thinking": "other"}, thought[1]), USER]
    assert "Invalid `signature`" in call.refused("messages", messages=changed)["message"]


def test_redacted_thinking_belongs_to_its_model_too(scripted):
    caller = scripted(Reply(text="x", thinking="hm", redact_thinking=True), "y")
    history = [USER, assistant(*caller.ok("messages", messages=[USER], thinking=THINK)["content"]), USER]
    caller.ok("messages", messages=history)
    assert "`redacted_thinking`" in caller.refused("messages", messages=history, model="sim-claude-2")["message"]


def test_a_tool_loop_must_keep_its_thinking(scripted):
    caller = scripted(Reply(tool_calls=(ToolCall(name="add", arguments={}),)), "done")
    content = caller.ok("messages", messages=[USER], thinking=THINK)["content"]
    results = user(result(content[1]["id"]))
    error = caller.refused("messages", messages=[USER, assistant(content[1]), results], thinking=THINK)
    assert error["message"].startswith("messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `tool_use`.")
    caller.ok("messages", messages=[USER, assistant(*content), results], thinking=THINK)


def test_thinking_cannot_end_a_history_when_it_is_off(call):
    thought = call.ok("messages", messages=[USER], thinking=THINK)["content"]
    assert "When thinking is disabled" in call.refused("messages", messages=[USER, assistant(*thought)])["message"]


def test_a_pause_is_resumed_by_sending_it_back(scripted):
    caller = scripted(Reply(pause=True, searches=(WebSearch(query="otters"),)), "Otters swim.", "again")
    paused = caller.ok("messages", messages=[USER])
    assert paused["stop_reason"] == "pause_turn"
    assert [block["type"] for block in paused["content"]] == ["server_tool_use"]
    error = caller.refused("messages", messages=[USER, assistant(*paused["content"]), USER])
    assert "was found without a corresponding `web_search_tool_result` block" in error["message"]
    resumed = caller.ok("messages", messages=[USER, assistant(*paused["content"])])
    assert [block["type"] for block in resumed["content"]] == ["web_search_tool_result", "text"]
    whole = [USER, assistant(*paused["content"]), assistant(*resumed["content"]), USER]
    caller.ok("messages", messages=whole)
    assert "Invalid `encrypted_content`" in caller.refused("messages", messages=whole, key="account-b")["message"]


def test_a_server_tool_call_from_elsewhere_is_refused(call):
    foreign = {"type": "server_tool_use", "id": "srvtoolu_x", "name": "web_search", "input": {}}
    call.refused("messages", messages=[USER, assistant(foreign)])
    orphan = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_x", "content": []}
    error = call.refused("messages", messages=[USER, assistant(orphan)])
    assert "Each `web_search_tool_result` block must have a corresponding `server_tool_use` block before it." in error["message"]


def test_a_container_belongs_to_its_account(scripted):
    caller = scripted(Reply(text="x", uses_container=True), "y")
    container = caller.ok("messages", messages=[USER])["container"]["id"]
    caller.ok("messages", messages=[USER], container=container)
    caller.refused("messages", 404, messages=[USER], container=container, key="account-b")
