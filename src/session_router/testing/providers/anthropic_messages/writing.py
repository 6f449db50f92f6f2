"""From a reply to a Messages answer, whole or as events."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from session_router.testing.providers.anthropic_messages.blocks import turns_of, unanswered_searches
from session_router.testing.providers.dialect import Drafting, ModelRequest, Part, StreamEvent
from session_router.testing.providers.reply import Reply, WebSearch
from session_router.testing.providers.tokens import Usage
from session_router.testing.providers.wire import JsonObject, as_object, as_text, canonical, objects, pieces

_FRAGMENT = 12
_CONTAINER_LIFE = timedelta(minutes=20)
_STOP = {"end": "end_turn", "length": "max_tokens", "refusal": "refusal"}


def write(request: ModelRequest, drafting: Drafting) -> JsonObject:
    """Return the whole answer."""
    reply = drafting.reply
    content = list(_content(request, drafting))
    body: JsonObject = {
        "id": drafting.identifiers.new("msg_01"),
        "type": "message",
        "role": "assistant",
        "model": request.model.answers_as,
        "content": content,
        "stop_reason": _stop_reason(reply),
        "stop_sequence": None,
        "usage": _usage(drafting.usage, sum(block["type"] == "server_tool_use" for block in content)),
    }
    if reply.uses_container:
        asked = request.body.get("container")
        identifier = as_text(asked) or as_text(as_object(asked).get("id")) or drafting.identifiers.new("container_01")
        expires = datetime.fromtimestamp(drafting.created, UTC) + _CONTAINER_LIFE
        body["container"] = {"id": identifier, "expires_at": expires.isoformat().replace("+00:00", "Z")}
    return body


def stream(body: JsonObject, _asked: JsonObject) -> list[StreamEvent]:
    """Return the events of an answer."""
    usage = as_object(body["usage"])
    start: JsonObject = {**body, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    start.pop("container", None)
    events = [_event("message_start", "opening", message=start), _event("ping", "opening")]
    for index, block in enumerate(objects(body["content"])):
        events += _block_events(index, block)
    delta: JsonObject = {"stop_reason": body["stop_reason"], "stop_sequence": None}
    if "container" in body:
        delta["container"] = body["container"]
    totals = {name: value for name, value in usage.items() if name not in {"cache_creation", "service_tier"}}
    events.append(_event("message_delta", "closing", delta=delta, usage=totals))
    events.append(_event("message_stop", "closing"))
    return events


def remember(request: ModelRequest, body: JsonObject) -> None:
    """Note the container, and the server tool calls that a pause left open."""
    if container := as_text(as_object(body.get("container")).get("id")):
        request.records.containers.add(container)
    if body["stop_reason"] == "pause_turn":
        answered = {as_text(block.get("tool_use_id")) for block in objects(body["content"])}
        calls = {as_text(block["id"]) for block in objects(body["content"]) if block["type"] == "server_tool_use"}
        request.records.paused |= calls - answered


def _stop_reason(reply: Reply) -> str:
    if reply.pause:
        return "pause_turn"
    return "tool_use" if reply.tool_calls else _STOP[reply.stop]


def _content(request: ModelRequest, drafting: Drafting) -> Iterator[JsonObject]:
    reply, new = drafting.reply, drafting.identifiers.new
    last = turns_of(request.body)[-1]
    for call in unanswered_searches(last) if last.role == "assistant" else ():
        yield _search_result(request, call.id, WebSearch(query=as_text(as_object(call.data.get("input")).get("query"))))
    if reply.thinking is not None and reply.redact_thinking:
        yield {"type": "redacted_thinking", "data": request.signatures.seal(reply.thinking, request.model.id)}
    elif reply.thinking is not None:
        signature = request.signatures.sign(request.model.id, reply.thinking)
        yield {"type": "thinking", "thinking": reply.thinking, "signature": signature}
    for at, search in enumerate(reply.searches):
        identifier = new("srvtoolu_01")
        yield {"type": "server_tool_use", "id": identifier, "name": "web_search", "input": {"query": search.query}}
        if not (reply.pause and at == len(reply.searches) - 1):
            yield _search_result(request, identifier, search)
    if reply.text:
        yield {"type": "text", "text": reply.text}
    for wanted in () if reply.pause else reply.tool_calls:
        yield {"type": "tool_use", "id": wanted.id or new("toolu_01"), "name": wanted.name, "input": dict(wanted.arguments)}


def _search_result(request: ModelRequest, identifier: str, search: WebSearch) -> JsonObject:
    result: JsonObject = {
        "type": "web_search_result",
        "url": search.url,
        "title": search.title,
        "encrypted_content": request.signatures.seal(f"About {search.query}.", request.account),
        "page_age": None,
    }
    return {"type": "web_search_tool_result", "tool_use_id": identifier, "content": [result]}


def _usage(usage: Usage, searches: int) -> JsonObject:
    body: JsonObject = {
        "input_tokens": usage.uncached_input,
        "cache_creation_input_tokens": usage.written,
        "cache_read_input_tokens": usage.cached_input,
        "cache_creation": {"ephemeral_5m_input_tokens": usage.written_5m, "ephemeral_1h_input_tokens": usage.written_1h},
        "output_tokens": usage.output,
        "service_tier": "standard",
    }
    if usage.thinking:
        body["output_tokens_details"] = {"thinking_tokens": usage.thinking}
    if searches:
        body["server_tool_use"] = {"web_search_requests": searches, "web_fetch_requests": 0}
    return body


def _event(name: str, part: Part, **fields: object) -> StreamEvent:
    return StreamEvent(name=name, part=part, data={"type": name, **fields})


def _block_events(index: int, block: JsonObject) -> Iterator[StreamEvent]:
    kind = as_text(block["type"])
    empty: JsonObject = {"text": {"text": ""}, "thinking": {"thinking": "", "signature": ""}}.get(kind, {})
    if kind in {"tool_use", "server_tool_use"}:
        empty = {"input": {}}
    part: Part = "tool_call" if kind == "tool_use" else "other"
    yield _event("content_block_start", part, index=index, content_block={**block, **empty})
    for part, delta in _deltas(kind, block):
        yield _event("content_block_delta", part, index=index, delta=delta)
    yield _event("content_block_stop", "other", index=index)


def _deltas(kind: str, block: JsonObject) -> Iterator[tuple[Part, JsonObject]]:
    if kind == "text":
        for piece in pieces(block["text"], _FRAGMENT):
            yield "text", {"type": "text_delta", "text": piece}
    elif kind == "thinking":
        for piece in pieces(block["thinking"], _FRAGMENT):
            yield "thinking", {"type": "thinking_delta", "thinking": piece}
        yield "thinking", {"type": "signature_delta", "signature": block["signature"]}
    elif kind in {"tool_use", "server_tool_use"}:
        part: Part = "tool_call" if kind == "tool_use" else "other"
        yield part, {"type": "input_json_delta", "partial_json": ""}
        for piece in pieces(canonical(block["input"]) if block["input"] else "", _FRAGMENT):
            yield part, {"type": "input_json_delta", "partial_json": piece}
