"""From a reply to a Chat Completions answer, whole or as chunks."""

from collections.abc import Iterator

from session_router.testing.providers.dialect import Drafting, ModelRequest, Part, StreamEvent
from session_router.testing.providers.reply import Reply
from session_router.testing.providers.tokens import Usage
from session_router.testing.providers.wire import JsonObject, as_object, as_text, canonical, objects, pieces

_FRAGMENT = 12


def write(request: ModelRequest, drafting: Drafting) -> JsonObject:
    """Return the whole answer. Thinking is billed, and never shown."""
    reply, new = drafting.reply, drafting.identifiers.new
    refused = reply.stop == "refusal"
    message: JsonObject = {
        "role": "assistant",
        "content": None if refused or (reply.tool_calls and not reply.text) else reply.text,
        "refusal": reply.text if refused else None,
        "annotations": [],
    }
    if reply.tool_calls:
        message["tool_calls"] = [
            {
                "id": call.id or new("call_"),
                "type": "function",
                "function": {"name": call.name, "arguments": canonical(dict(call.arguments)) if call.malformed is None else call.malformed},
            }
            for call in reply.tool_calls
        ]
    return {
        "id": new("chatcmpl-"),
        "object": "chat.completion",
        "created": drafting.created,
        "model": request.model.answers_as,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": _finish_reason(reply)}],
        "usage": _usage(drafting.usage),
        "service_tier": "default",
        "system_fingerprint": "fp_simulated",
    }


def stream(body: JsonObject, asked: JsonObject) -> list[StreamEvent]:
    """Return the chunks of an answer; usage comes in a chunk of its own where it was asked for."""
    with_usage = as_object(asked.get("stream_options")).get("include_usage") is True
    choice = objects(body["choices"])[0]
    frame = {
        **{name: body[name] for name in ("id", "created", "model", "service_tier", "system_fingerprint")},
        "object": "chat.completion.chunk",
    }
    if with_usage:
        frame["usage"] = None

    def chunk(part: Part, delta: JsonObject, finish_reason: str | None = None) -> StreamEvent:
        choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}]
        return StreamEvent(part=part, data={**frame, "choices": choices})

    events = [chunk(part, delta) for part, delta in _deltas(as_object(choice["message"]))]
    events.append(chunk("closing", {}, as_text(choice["finish_reason"])))
    if with_usage:
        events.append(StreamEvent(part="closing", data={**frame, "choices": [], "usage": body["usage"]}))
    events.append(StreamEvent(part="closing", data="[DONE]"))
    return events


def remember(_request: ModelRequest, _body: JsonObject) -> None:
    """Remember nothing: this API has no state."""


def _deltas(message: JsonObject) -> Iterator[tuple[Part, JsonObject]]:
    calls = objects(message.get("tool_calls"))
    yield "opening", {"role": "assistant", "content": None if calls and not message["content"] else "", "refusal": None}
    for piece in pieces(as_text(message["content"]), _FRAGMENT):
        yield "text", {"content": piece}
    for piece in pieces(as_text(message["refusal"]), _FRAGMENT):
        yield "text", {"refusal": piece}
    for index, call in enumerate(calls):
        function = as_object(call["function"])
        head: JsonObject = {"index": index, "id": call["id"], "type": "function", "function": {"name": function["name"], "arguments": ""}}
        yield "tool_call", {"tool_calls": [head]}
        for piece in pieces(as_text(function["arguments"]), _FRAGMENT):
            yield "tool_call", {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def _finish_reason(reply: Reply) -> str:
    if reply.tool_calls:
        return "tool_calls"
    return "length" if reply.stop == "length" else "stop"


def _usage(usage: Usage) -> JsonObject:
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cached_input, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": usage.thinking,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
