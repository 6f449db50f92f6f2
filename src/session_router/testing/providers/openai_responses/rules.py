"""What the Responses API demands of a request as a whole, and of each item."""

from collections.abc import Iterator

from session_router.testing.providers.dialect import ModelRequest
from session_router.testing.providers.openai_chat.rules import named
from session_router.testing.providers.openai_errors import invalid_value, missing_parameter, unknown_parameter
from session_router.testing.providers.openai_responses.items import FIELDS, ID_PREFIXES, TYPES, sent_items, type_of
from session_router.testing.providers.refusal import Refusal
from session_router.testing.providers.wire import JsonObject, as_text, objects

_TOP_LEVEL_NAMES = (
    "access_programs background background_options context_management conversation image include input instructions max_output_tokens "
    "max_tool_calls metadata model moderation parallel_tool_calls previous_response_id prompt prompt_cache_key prompt_cache_options "
    "prompt_cache_retention reasoning safety_identifier service_tier store stream stream_options temperature text tool_choice tools "
    "top_logprobs top_p truncation user"
)
_TOP_LEVEL = frozenset(_TOP_LEVEL_NAMES.split())
_ROLES = ("assistant", "system", "developer", "user")
_PARTS = ("input_text", "input_image", "output_text", "refusal", "input_file", "computer_screenshot", "summary_text")
_ASSISTANT_PARTS = ("output_text", "refusal")
_OTHER_PARTS = ("input_text", "input_image", "input_file")
_PART_FIELDS = {
    "input_text": {"type", "text", "prompt_cache_breakpoint"},
    "input_image": {"type", "image_url", "file_id", "detail", "prompt_cache_breakpoint"},
    "input_file": {"type", "file_id", "file_url", "file_data", "filename", "detail", "prompt_cache_breakpoint"},
    "output_text": {"type", "text", "annotations", "logprobs"},
    "refusal": {"type", "refusal"},
}
_TOOL_TYPES = (
    "function file_search computer computer_use_preview web_search web_search_2025_08_26 mcp code_interpreter image_generation local_shell "
    "shell custom namespace tool_search web_search_preview web_search_preview_2025_03_11 apply_patch programmatic_tool_calling"
)
_TOOLS = tuple(_TOOL_TYPES.split())


def parameters(request: ModelRequest) -> Iterator[Refusal]:
    """Top-level fields: known ones only, `input` required."""
    for name in request.body:
        if name not in _TOP_LEVEL:
            yield unknown_parameter(name)
    if "input" not in request.body:
        yield missing_parameter("input")


def previous_response(request: ModelRequest) -> Iterator[Refusal]:
    """The previous response is one of this account, and was stored."""
    previous = request.body.get("previous_response_id")
    if previous is not None and previous not in request.records.responses:
        yield Refusal(
            message=f"Previous response with id '{previous}' not found.", param="previous_response_id", code="previous_response_not_found"
        )


def item_shapes(request: ModelRequest) -> Iterator[Refusal]:
    """Items are of known types, with known fields, and ids of the right kind."""
    for at, item in enumerate(sent_items(request.body)):
        place, kind = f"input[{at}]", type_of(item)
        if kind not in TYPES:
            yield invalid_value(kind, TYPES, place)
        for name in item:
            if name not in FIELDS.get(kind, item):
                yield unknown_parameter(f"{place}.{name}")
        identifier, prefix = as_text(item.get("id")), ID_PREFIXES.get(kind, "")
        if identifier and not identifier.startswith(prefix):
            yield Refusal(
                message=f"Invalid '{place}.id': '{identifier}'. Expected an ID that begins with '{prefix}'.",
                param=f"{place}.id",
                code="invalid_value",
            )
        if kind == "message":
            yield from _message(place, item)
        if kind in {"function_call", "function_call_output"} and not as_text(item.get("call_id")):
            yield missing_parameter(f"{place}.call_id")
        if kind == "function_call":
            yield from named(item, place)
        if kind == "reasoning" and "summary" not in item:
            yield missing_parameter(f"{place}.summary")


def _message(place: str, item: JsonObject) -> Iterator[Refusal]:
    role = as_text(item.get("role"))
    if role not in _ROLES:
        yield invalid_value(role, _ROLES, f"{place}.role")
    if not isinstance(item.get("content"), str | list):
        yield missing_parameter(f"{place}.content")
    for index, part in enumerate(objects(item["content"])):
        kind, where = as_text(part.get("type")), f"{place}.content[{index}]"
        if kind not in _PARTS:
            yield invalid_value(kind, _PARTS, where)
        allowed = _ASSISTANT_PARTS if role == "assistant" else _OTHER_PARTS
        if kind not in allowed:
            yield invalid_value(kind, allowed, where)
        for name in part:
            if name not in _PART_FIELDS[kind]:
                yield unknown_parameter(f"{where}.{name}")


def tools(request: ModelRequest) -> Iterator[Refusal]:
    """Tools are of known types, and functions have names of the allowed form."""
    for at, tool in enumerate(objects(request.body.get("tools"))):
        kind = as_text(tool.get("type"))
        if kind not in _TOOLS:
            yield invalid_value(kind, _TOOLS, f"tools[{at}].type")
        if kind == "function":
            yield from named(tool, f"tools[{at}]")
