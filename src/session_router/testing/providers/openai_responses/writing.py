"""From a reply to a Responses answer."""

from collections.abc import Iterator

from session_router.testing.providers.dialect import Drafting, ModelRequest
from session_router.testing.providers.openai_responses.items import conversation
from session_router.testing.providers.records import StoredItem
from session_router.testing.providers.reply import ClientItem
from session_router.testing.providers.tokens import Usage
from session_router.testing.providers.wire import JsonObject, as_list, as_object, as_text, canonical, objects


def write(request: ModelRequest, drafting: Drafting) -> JsonObject:
    """Return the whole answer."""
    body, cut_off = request.body, drafting.reply.stop == "length"
    return {
        "id": drafting.identifiers.new("resp_"),
        "object": "response",
        "created_at": drafting.created,
        "status": "incomplete" if cut_off else "completed",
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if cut_off else None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "metadata": as_object(body.get("metadata")),
        "model": request.model.answers_as,
        "output": list(_output(request, drafting)),
        "parallel_tool_calls": body.get("parallel_tool_calls") is not False,
        "previous_response_id": body.get("previous_response_id"),
        "reasoning": {"effort": as_object(body.get("reasoning")).get("effort"), "summary": None},
        "service_tier": "default",
        "store": body.get("store") is not False,
        "temperature": body.get("temperature", 1.0),
        "text": {"format": {"type": "text"}, **as_object(body.get("text"))},
        "tool_choice": body.get("tool_choice", "auto"),
        "tools": as_list(body.get("tools")),
        "top_p": body.get("top_p", 1.0),
        "truncation": "disabled",
        "usage": _usage(drafting.usage),
    }


def remember(request: ModelRequest, body: JsonObject) -> None:
    """Store the conversation and the output items, or note that they were not stored."""
    output, records = objects(body["output"]), request.records
    identifiers = [as_text(item["id"]) for item in output]
    if not body["store"]:
        records.unstored.update(identifiers)
        return
    for at, item in enumerate(output):
        after_reasoning = at > 0 and output[at - 1]["type"] == "reasoning"
        records.items[identifiers[at]] = StoredItem(
            item=item,
            reasoning_id=identifiers[at - 1] if after_reasoning else None,
            following_id=identifiers[at + 1] if item["type"] == "reasoning" and at + 1 < len(output) else None,
        )
    records.responses[as_text(body["id"])] = (*conversation(request), *output)


def _output(request: ModelRequest, drafting: Drafting) -> Iterator[JsonObject]:
    reply, new = drafting.reply, drafting.identifiers.new
    status = "incomplete" if reply.stop == "length" else "completed"
    if reply.thinking is not None:
        yield _reasoning(request, reply.thinking, new("rs_"))
    for search in reply.searches:
        action = {"type": "search", "query": search.query}
        yield {"type": "web_search_call", "id": new("ws_"), "status": "completed", "action": action}
    if reply.text or not (reply.tool_calls or reply.client_items):
        part: JsonObject = {"type": "output_text", "text": reply.text, "annotations": [], "logprobs": []}
        if reply.stop == "refusal":
            part = {"type": "refusal", "refusal": reply.text}
        yield {"type": "message", "id": new("msg_"), "status": status, "role": "assistant", "content": [part]}
    for call in reply.tool_calls:
        yield {
            "type": "function_call",
            "id": new("fc_"),
            "call_id": call.id or new("call_"),
            "name": call.name,
            "arguments": canonical(dict(call.arguments)) if call.malformed is None else call.malformed,
            "status": "completed",
        }
    for item in reply.client_items:
        yield _client_item(item, drafting)


def _reasoning(request: ModelRequest, thinking: str, identifier: str) -> JsonObject:
    asked = as_object(request.body.get("reasoning"))
    shown = asked.get("summary") or asked.get("generate_summary")
    item: JsonObject = {"type": "reasoning", "id": identifier, "summary": [{"type": "summary_text", "text": thinking}] if shown else []}
    if "reasoning.encrypted_content" in as_list(request.body.get("include")):
        item["encrypted_content"] = request.signatures.seal(thinking, request.account, request.model.family_name)
    return item


def _client_item(item: ClientItem, drafting: Drafting) -> JsonObject:
    new = drafting.identifiers.new
    if item.type == "computer_call":
        defaults: JsonObject = {
            "id": new("cu_"),
            "call_id": new("call_"),
            "action": {"type": "screenshot"},
            "pending_safety_checks": [],
            "status": "completed",
        }
    elif item.type == "apply_patch_call":
        defaults = {
            "id": new("apc_"),
            "call_id": new("call_"),
            "operation": {"type": "delete_file", "path": "a.py"},
            "status": "completed",
        }
    else:
        defaults = {"id": new("mcpr_"), "name": "tool", "arguments": "{}", "server_label": "server"}
    return {"type": item.type, **defaults, **item.fields}


def _usage(usage: Usage) -> JsonObject:
    return {
        "input_tokens": usage.input,
        "input_tokens_details": {"cached_tokens": usage.cached_input, "cache_write_tokens": 0},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.thinking},
        "total_tokens": usage.input + usage.output,
    }
