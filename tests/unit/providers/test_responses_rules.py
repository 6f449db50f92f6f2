"""Each rule of the Responses API bites, and its good counterpart passes."""

# ruff: noqa: ANN001, ANN003, ANN201 -- fixtures and cases say what they are

import pytest

from session_router.testing.providers import ClientItem, Reply, ToolCall, WebSearch

USER = {"role": "user", "content": "hello"}
CALL = {"type": "function_call", "call_id": "c", "name": "add", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "c", "output": "7"}
THINK = {"effort": "low"}
ENCRYPTED = {"reasoning": THINK, "include": ["reasoning.encrypted_content"], "store": False}


def message(role, kind, **fields):
    return {"type": "message", "role": role, "content": [{"type": kind, **fields}]}


GOOD = [
    "hello",
    [USER],
    [USER, CALL, OUTPUT],
    [USER, CALL, {**CALL, "call_id": "d"}, {**OUTPUT, "call_id": "d"}, OUTPUT],
    [message("user", "input_text", text="x"), message("assistant", "output_text", text="y", annotations=[]), USER],
]

BAD = [
    ([USER, OUTPUT], "No tool call found for function call output with call_id c."),
    ([USER, CALL], "No tool output found for function call c."),
    ([USER, CALL, USER], "No tool output found for function call c."),
    ([USER, OUTPUT, CALL], "No tool call found for function call output"),
    ([{"type": "tool_use", "id": "x"}], "Invalid value: 'tool_use'. Supported values are:"),
    ([message("user", "text", text="x")], "Invalid value: 'text'. Supported values are:"),
    ([message("assistant", "thinking", thinking="x")], "Invalid value: 'thinking'."),
    ([message("assistant", "input_text", text="x")], "Supported values are: 'output_text' and 'refusal'."),
    ([message("user", "input_text", text="x", cache_control={})], "Unknown parameter: 'input[0].content[0].cache_control'."),
    ([{**USER, "name": "x"}], "Unknown parameter: 'input[0].name'."),
    ([{"role": "tool", "content": "x"}], "Invalid value: 'tool'."),
    ([USER, {**CALL, "id": "toolu_1"}, OUTPUT], "Expected an ID that begins with 'fc'."),
    ([USER, {**CALL, "name": "a.b"}, OUTPUT], "does not match pattern"),
    ([USER, {"type": "reasoning", "id": "rs_1"}], "Missing required parameter: 'input[1].summary'."),
]


@pytest.mark.parametrize("sent", GOOD)
def test_good_requests_pass(call, sent):
    call.ok("responses", input=sent)


@pytest.mark.parametrize(("sent", "words"), BAD)
def test_bad_requests_are_refused(call, sent, words):
    error = call.refused("responses", input=sent)
    assert words in error["message"]
    assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"messages": []}, "Unknown parameter: 'messages'."),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "Invalid value: 'web_search_20250305'."),
        ({"tools": [{"type": "function", "name": "a b"}]}, "Invalid 'tools[0].name'"),
        ({"model": "sim-absent"}, "The requested model 'sim-absent' does not exist."),
        ({"model": "sim-small", "input": "x" * 401}, "Your input exceeds the context window"),
    ],
)
def test_bad_settings_are_refused(call, extra, words):
    assert words in call.refused("responses", **{"input": "hello", **extra})["message"]


def test_a_previous_response_belongs_to_its_account(call):
    first = call.ok("responses", input="hello")["id"]
    second = call.ok("responses", input="and?", previous_response_id=first)["id"]
    call.ok("responses", input="and?", previous_response_id=second, model="sim-strong")
    error = call.refused("responses", input="and?", previous_response_id=first, key="account-b")
    assert error["message"] == f"Previous response with id '{first}' not found."
    assert error["code"] == "previous_response_not_found"


def test_an_unstored_response_cannot_be_continued(call):
    first = call.ok("responses", input="hello", store=False)
    call.refused("responses", input="and?", previous_response_id=first["id"])
    error = call.refused("responses", 404, input=[USER, *first["output"], USER])
    assert "Items are not persisted when `store` is set to false." in error["message"]
    call.ok("responses", input=[USER, *first["output"], USER], store=False)


def test_items_belong_to_their_account(call):
    output = call.ok("responses", input="hello")["output"]
    call.ok("responses", input=[USER, *output, USER])
    call.ok("responses", input=[USER, {"type": "item_reference", "id": output[0]["id"]}, USER])
    error = call.refused("responses", 404, input=[USER, *output, USER], key="account-b")
    assert error["message"] == f"Item with id '{output[0]['id']}' not found."


def test_an_item_comes_once(call):
    first = call.ok("responses", input="hello")
    error = call.refused("responses", input=[*first["output"], USER], previous_response_id=first["id"])
    assert error["message"].startswith(f"Duplicate item found with id {first['output'][0]['id']}")


def test_reasoning_and_its_item_come_together(call):
    reasoning, said = call.ok("responses", input="hello", reasoning=THINK)["output"]
    call.ok("responses", input=[USER, reasoning, said, USER])
    alone = call.refused("responses", input=[USER, reasoning, USER])["message"]
    assert alone == f"Item '{reasoning['id']}' of type 'reasoning' was provided without its required following item."
    without = call.refused("responses", input=[USER, said, USER])["message"]
    assert without == f"Item '{said['id']}' of type 'message' was provided without its required 'reasoning' item: '{reasoning['id']}'."


def test_encrypted_reasoning_is_for_one_account_and_family(call):
    output = call.ok("responses", input="hello", **ENCRYPTED)["output"]
    history = [USER, *output, USER]
    call.ok("responses", input=history, **ENCRYPTED)
    call.ok("responses", input=history, model="sim-strong", **ENCRYPTED)
    for other in ({"model": "sim-stranger"}, {"key": "account-b"}):
        error = call.refused("responses", input=history, **ENCRYPTED, **other)
        assert error["code"] == "invalid_encrypted_content"
        assert "could not be verified" in error["message"]


def test_client_run_items_need_their_outputs(scripted):
    caller = scripted(Reply(client_items=(ClientItem(type="computer_call"), ClientItem(type="mcp_approval_request"))), "done")
    computer, approval = caller.ok("responses", input="hello")["output"]
    screen = {"type": "computer_call_output", "call_id": computer["call_id"], "output": {"type": "input_image", "image_url": "x"}}
    approved = {"type": "mcp_approval_response", "approval_request_id": approval["id"], "approve": True}
    asked = [USER, computer, approval]
    assert f"computer call {computer['call_id']}" in caller.refused("responses", input=[*asked, approved])["message"]
    assert f"MCP approval request {approval['id']}" in caller.refused("responses", input=[*asked, screen])["message"]
    caller.ok("responses", input=[*asked, screen, approved])


def test_a_tool_loop_continues_through_a_previous_response(scripted):
    caller = scripted(Reply(tool_calls=(ToolCall(name="add", arguments={"a": 1}),)), "done")
    first = caller.ok("responses", input="hello")
    caller.refused("responses", input="and?", previous_response_id=first["id"])
    output = {**OUTPUT, "call_id": first["output"][0]["call_id"]}
    assert caller.ok("responses", input=[output], previous_response_id=first["id"])["output"][0]["content"][0]["text"] == "done"


def test_searches_refusals_and_cut_answers_look_like_openais(scripted):
    caller = scripted(Reply(text="x", searches=(WebSearch(query="q"),)), Reply(text="no", stop="refusal"), Reply(text="c", stop="length"))
    assert [item["type"] for item in caller.ok("responses", input="hello")["output"]] == ["web_search_call", "message"]
    assert caller.ok("responses", input="hello")["output"][0]["content"][0] == {"type": "refusal", "refusal": "no"}
    assert caller.ok("responses", input="hello")["incomplete_details"] == {"reason": "max_output_tokens"}
