"""What the Chat Completions API demands of a request."""

import re
from collections.abc import Iterator, Mapping

from session_router.testing.providers.dialect import ModelRequest
from session_router.testing.providers.openai_errors import invalid_value, missing_parameter, unknown_parameter
from session_router.testing.providers.refusal import Refusal
from session_router.testing.providers.wire import JsonObject, as_list, as_object, as_text, objects

_TOP_LEVEL_NAMES = (
    "audio frequency_penalty function_call functions logit_bias logprobs max_completion_tokens max_tokens messages metadata modalities "
    "model moderation n parallel_tool_calls prediction presence_penalty prompt_cache_key prompt_cache_options prompt_cache_retention "
    "reasoning_effort response_format safety_identifier seed service_tier stop store stream stream_options temperature tool_choice tools "
    "top_logprobs top_p user verbosity web_search_options"
)
_TOP_LEVEL = frozenset(_TOP_LEVEL_NAMES.split())
_ROLES = ("system", "assistant", "user", "function", "tool", "developer")
_MESSAGE_FIELDS = {
    "system": {"role", "content", "name"},
    "developer": {"role", "content", "name"},
    "user": {"role", "content", "name"},
    "assistant": {"role", "content", "name", "refusal", "tool_calls", "function_call", "audio"},
    "tool": {"role", "content", "tool_call_id"},
    "function": {"role", "content", "name"},
}
_PARTS = ("text", "image_url", "input_audio", "refusal", "audio", "file")
_PARTS_OF_ROLE = {"user": ("text", "image_url", "input_audio", "file"), "assistant": ("text", "refusal")}
_PART_FIELDS = {
    "text": {"type", "text", "prompt_cache_breakpoint"},
    "image_url": {"type", "image_url", "prompt_cache_breakpoint"},
    "input_audio": {"type", "input_audio", "prompt_cache_breakpoint"},
    "refusal": {"type", "refusal"},
    "file": {"type", "file", "prompt_cache_breakpoint"},
}
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def parameters(request: ModelRequest) -> Iterator[Refusal]:
    """Top-level fields: known ones only, some messages."""
    body = request.body
    for name in body:
        if name not in _TOP_LEVEL:
            yield unknown_parameter(name)
    if "messages" not in body:
        yield missing_parameter("messages")
    if not as_list(body["messages"]):
        yield Refusal(
            message="Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.",
            param="messages",
            code="empty_array",
        )
    if "stream_options" in body and body.get("stream") is not True:
        yield Refusal(message="The 'stream_options' parameter is only allowed when 'stream' is enabled.", param="stream_options")


def messages(request: ModelRequest) -> Iterator[Refusal]:
    """Messages have known roles, fields and content parts."""
    for at, message in enumerate(objects(request.body["messages"])):
        place = f"messages[{at}]"
        role = as_text(message.get("role"))
        if role not in _ROLES:
            yield invalid_value(role, _ROLES, f"{place}.role")
        for name in message:
            if name not in _MESSAGE_FIELDS[role]:
                yield unknown_parameter(f"{place}.{name}")
        yield from _content(place, role, message)


def _content(place: str, role: str, message: JsonObject) -> Iterator[Refusal]:
    content = message.get("content")
    speaks_otherwise = role == "assistant" and any(message.get(name) for name in ("tool_calls", "function_call", "refusal", "audio"))
    if content is None and not speaks_otherwise:
        yield Refusal(message=f"Invalid value for 'content': expected a string, got null. ({place})", param=f"{place}.content")
    if content not in (None, []) and not isinstance(content, str) and not as_list(content):
        yield Refusal(
            message=f"Invalid type for '{place}.content': expected one of a string or array of objects.",
            param=f"{place}.content",
            code="invalid_type",
        )
    for index, part in enumerate(objects(content)):
        kind, where = as_text(part.get("type")), f"{place}.content[{index}]"
        if kind not in _PARTS:
            yield invalid_value(kind, _PARTS, f"{where}.type")
        allowed = _PARTS_OF_ROLE.get(role, ("text",))
        if kind not in allowed:
            yield invalid_value(kind, allowed, f"{where}.type")
        for name in part:
            if name not in _PART_FIELDS[kind]:
                yield unknown_parameter(f"{where}.{name}")


def tool_calls(request: ModelRequest) -> Iterator[Refusal]:
    """Tool calls are well formed, and the tool messages right after them answer each of them, and nothing else."""
    awaited: list[str] = []
    answerable: set[str] = set()
    for at, message in enumerate([*objects(request.body["messages"]), {}]):
        if message.get("role") == "tool":
            identifier = as_text(message.get("tool_call_id"))
            if not identifier:
                yield missing_parameter(f"messages[{at}].tool_call_id")
            if not answerable:
                yield Refusal(
                    message="Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.",
                    param=f"messages.[{at}].role",
                )
            if identifier not in answerable:
                yield Refusal(
                    message=f"Invalid parameter: 'tool_call_id' of '{identifier}' not found in 'tool_calls' of previous message.",
                    param=f"messages.[{at}].tool_call_id",
                )
            awaited = [each for each in awaited if each != identifier]
            continue
        if awaited:
            yield Refusal(
                message="An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The "
                f"following tool_call_ids did not have response messages: {', '.join(awaited)}",
                param="messages" if at == len(request.body["messages"]) else f"messages.[{at}].role",
            )
        for index, call in enumerate(objects(message.get("tool_calls"))):
            yield from _call(f"messages[{at}].tool_calls[{index}]", call)
        if message.get("tool_calls") == []:
            yield Refusal(
                message=f"Invalid 'messages[{at}].tool_calls': empty array. Expected an array with minimum length 1, but got an empty "
                "array instead.",
                param=f"messages[{at}].tool_calls",
                code="empty_array",
            )
        awaited = [as_text(call.get("id")) for call in objects(message.get("tool_calls"))]
        answerable = set(awaited)


def _call(place: str, call: JsonObject) -> Iterator[Refusal]:
    if not as_text(call.get("id")):
        yield missing_parameter(f"{place}.id")
    if call.get("type") not in {"function", "custom"}:
        yield invalid_value(as_text(call.get("type")), ("function", "custom"), f"{place}.type")
    function = as_object(call.get("function"))
    yield from named(function, f"{place}.function")
    if not isinstance(function.get("arguments"), str):
        yield missing_parameter(f"{place}.function.arguments")


def tools(request: ModelRequest) -> Iterator[Refusal]:
    """Tools are functions with names of the allowed form, and a tool choice needs tools and names one of them."""
    body = request.body
    offered = objects(body.get("tools"))
    for at, tool in enumerate(offered):
        if tool.get("type") not in {"function", "custom"}:
            yield invalid_value(as_text(tool.get("type")), ("function", "custom"), f"tools[{at}].type")
        yield from named(as_object(tool.get("function")), f"tools[{at}].function")
    choice = body.get("tool_choice")
    if choice is not None and not offered:
        yield Refusal(
            message="Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.", param="tool_choice"
        )
    if "parallel_tool_calls" in body and not offered:
        yield Refusal(
            message="Invalid value for 'parallel_tool_calls': 'parallel_tool_calls' is only allowed when 'tools' are specified.",
            param="parallel_tool_calls",
        )
    name = as_text(as_object(as_object(choice).get("function")).get("name"))
    if isinstance(choice, Mapping) and name not in {as_text(as_object(tool.get("function")).get("name")) for tool in offered}:
        yield Refusal(
            message=f"Invalid value for 'tool_choice': no function named '{name}' was specified in the 'tools' parameter.",
            param="tool_choice",
        )


def named(thing: JsonObject, place: str) -> Iterator[Refusal]:
    """A function's name has the allowed form."""
    name = as_text(thing.get("name"))
    if not _TOOL_NAME.fullmatch(name):
        yield Refusal(
            message=f"Invalid '{place}.name': string does not match pattern. Expected a string that matches the pattern "
            "'^[a-zA-Z0-9_-]+$'.",
            param=f"{place}.name",
            code="invalid_value",
        )


def json_mode(request: ModelRequest) -> Iterator[Refusal]:
    """JSON mode wants the word JSON somewhere, and a schema wants a name."""
    wanted = as_object(request.body.get("response_format"))
    if wanted.get("type") not in {None, "text", "json_object", "json_schema"}:
        yield invalid_value(as_text(wanted.get("type")), ("text", "json_object", "json_schema"), "response_format.type")
    spoken = " ".join(str(message.get("content")) for message in objects(request.body["messages"]))
    if wanted.get("type") == "json_object" and "json" not in spoken.casefold():
        yield Refusal(
            message="'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
            param="messages",
        )
    if wanted.get("type") == "json_schema" and not as_object(wanted.get("json_schema")).get("name"):
        yield missing_parameter("response_format.json_schema.name")
