"""From a Responses answer to its events."""

from collections.abc import Iterator
from typing import TypeAlias

from session_router.testing.providers.dialect import Part, StreamEvent
from session_router.testing.providers.wire import JsonObject, as_text, objects, pieces

_FRAGMENT = 12

_Event: TypeAlias = tuple[str, Part, JsonObject]


def stream(body: JsonObject, _asked: JsonObject) -> list[StreamEvent]:
    """Return the events of an answer, numbered from 0."""
    begun: JsonObject = {**body, "status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
    events: list[_Event] = [("response.created", "opening", {"response": begun}), ("response.in_progress", "opening", {"response": begun})]
    for index, item in enumerate(objects(body["output"])):
        events += _item_events(index, item)
    events.append((f"response.{body['status']}", "closing", {"response": body}))
    return [
        StreamEvent(name=name, part=part, data={"type": name, "sequence_number": number, **fields})
        for number, (name, part, fields) in enumerate(events)
    ]


def _item_events(index: int, item: JsonObject) -> Iterator[_Event]:
    kind = as_text(item["type"])
    part: Part = "tool_call" if kind == "function_call" else "other"
    begun: JsonObject = {**item, "status": "in_progress"}
    place: JsonObject = {"item_id": item["id"], "output_index": index}
    if kind == "message":
        begun["content"] = []
    elif kind == "function_call":
        begun["arguments"] = ""
    elif kind == "reasoning":
        begun = {"type": "reasoning", "id": item["id"], "summary": []}
    elif kind == "mcp_approval_request":
        begun = item
    yield "response.output_item.added", part, {"output_index": index, "item": begun}
    if kind == "message":
        yield from _message(place, item)
    elif kind == "function_call":
        yield from _function_call(place, item)
    elif kind == "reasoning":
        yield from _reasoning(place, item)
    elif kind == "web_search_call":
        for step in ("in_progress", "searching", "completed"):
            yield f"response.web_search_call.{step}", "other", place
    yield "response.output_item.done", "other", {"output_index": index, "item": item}


def _message(place: JsonObject, item: JsonObject) -> Iterator[_Event]:
    for content_index, part in enumerate(objects(item["content"])):
        where: JsonObject = {**place, "content_index": content_index}
        key = "refusal" if part["type"] == "refusal" else "text"
        event = "response.refusal" if part["type"] == "refusal" else "response.output_text"
        extra: JsonObject = {} if part["type"] == "refusal" else {"logprobs": []}
        yield "response.content_part.added", "other", {**where, "part": {**part, key: ""}}
        for piece in pieces(as_text(part[key]), _FRAGMENT):
            yield f"{event}.delta", "text", {**where, "delta": piece, **extra}
        yield f"{event}.done", "other", {**where, key: part[key], **extra}
        yield "response.content_part.done", "other", {**where, "part": part}


def _function_call(place: JsonObject, item: JsonObject) -> Iterator[_Event]:
    arguments = as_text(item["arguments"])
    for piece in pieces(arguments, _FRAGMENT):
        yield "response.function_call_arguments.delta", "tool_call", {**place, "delta": piece}
    yield "response.function_call_arguments.done", "tool_call", {**place, "name": item["name"], "arguments": arguments}


def _reasoning(place: JsonObject, item: JsonObject) -> Iterator[_Event]:
    for summary_index, part in enumerate(objects(item["summary"])):
        where: JsonObject = {**place, "summary_index": summary_index}
        text = as_text(part["text"])
        yield "response.reasoning_summary_part.added", "thinking", {**where, "part": {**part, "text": ""}}
        for piece in pieces(text, _FRAGMENT):
            yield "response.reasoning_summary_text.delta", "thinking", {**where, "delta": piece}
        yield "response.reasoning_summary_text.done", "thinking", {**where, "text": text}
        yield "response.reasoning_summary_part.done", "thinking", {**where, "part": part}
