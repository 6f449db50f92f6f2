"""What the Messages API demands of a request as a whole, and of each block."""

import re
from collections.abc import Iterator, Mapping

from session_router.testing.providers.anthropic_messages.blocks import (
    ASSISTANT_ONLY,
    FIELDS,
    RESULT_FIELDS,
    USER_ONLY,
    Block,
    blocks_of,
    turns_of,
)
from session_router.testing.providers.dialect import ModelRequest
from session_router.testing.providers.refusal import Refusal
from session_router.testing.providers.wire import JsonObject, as_list, as_object, as_text, objects

_TOP_LEVEL_NAMES = (
    "cache_control container context_management diagnostics inference_geo max_tokens mcp_servers messages metadata model output_config "
    "output_format service_tier speed stop_sequences stream system temperature thinking tool_choice tools top_k top_p user_profile_id "
    "workspace_id"
)
_TOP_LEVEL = frozenset(_TOP_LEVEL_NAMES.split())
_ID = re.compile(r"[a-zA-Z0-9_-]+")
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")


def parameters(request: ModelRequest) -> Iterator[Refusal]:
    """Top-level fields: known ones only, `max_tokens` and `messages` required."""
    body = request.body
    for name in body:
        if name not in _TOP_LEVEL:
            yield Refusal(message=f"{name}: Extra inputs are not permitted")
    if "max_tokens" not in body:
        yield Refusal(message="max_tokens: Field required")
    if not isinstance(body["max_tokens"], int) or body["max_tokens"] < 1:
        yield Refusal(message="max_tokens: Input should be greater than or equal to 1")
    if "messages" not in body:
        yield Refusal(message="messages: Field required")
    if not as_list(body["messages"]):
        yield Refusal(message="messages: at least one message is required")


def roles(request: ModelRequest) -> Iterator[Refusal]:
    """Only users and assistants speak, and the user begins. Roles need not alternate."""
    messages = objects(request.body["messages"])
    for at, message in enumerate(messages):
        role = as_text(message.get("role"))
        if role == "system":
            yield Refusal(
                message='messages: Unexpected role "system". The Messages API accepts a top-level `system` parameter, not "system" as an '
                "input message role."
            )
        if role not in {"user", "assistant"}:
            yield Refusal(message=f'messages: Unexpected role "{role}". Allowed roles are "user" or "assistant"')
        for name in message:
            if name not in {"role", "content"}:
                yield Refusal(message=f"messages.{at}.{name}: Extra inputs are not permitted")
        if "content" not in message:
            yield Refusal(message=f"messages.{at}.content: Field required")
        if not isinstance(message["content"], str | list):
            yield Refusal(message=f"messages.{at}.content: Input should be a valid list")
        if not message["content"] and not (role == "assistant" and at == len(messages) - 1):
            yield Refusal(
                message=f"messages.{at}: all messages must have non-empty content except for the optional final assistant message"
            )
    if as_text(messages[0].get("role")) != "user":
        yield Refusal(message='messages: first message must use the "user" role')


def block_shapes(request: ModelRequest) -> Iterator[Refusal]:
    """Blocks are of known types with known fields, on the right side of the conversation."""
    for block in blocks_of(request.body):
        yield from _shape(block.place, block.data, FIELDS)
        if block.type in ASSISTANT_ONLY and block.role != "assistant":
            yield Refusal(message=f"{block.place}: `{block.type}` blocks can only be in `assistant` messages")
        if block.type in USER_ONLY and block.role != "user":
            yield Refusal(message=f"{block.place}: `{block.type}` blocks can only be in `user` messages")
        if block.type == "text" and not as_text(block.data.get("text")).strip():
            yield Refusal(message="messages: text content blocks must be non-empty")
        if block.type in {"tool_use", "server_tool_use"} and not isinstance(block.data.get("input"), dict):
            yield Refusal(message=f"{block.place}.{block.type}.input: Input should be a valid dictionary")
        if block.type == "tool_result" and not isinstance(block.data.get("content"), str):
            for index, inner in enumerate(objects(block.data.get("content"))):
                place = f"{block.place}.tool_result.content.{index}"
                yield from _shape(place, inner, RESULT_FIELDS)
                if "cache_control" in inner:
                    yield Refusal(message=f"{place}.{inner['type']}.cache_control: Extra inputs are not permitted")


def trailing_space(request: ModelRequest) -> Iterator[Refusal]:
    """A final assistant message, which the model would continue, must not end in white space."""
    last = list(blocks_of(request.body))[-1:]
    for block in last:
        text = as_text(block.data.get("text"))
        if block.role == "assistant" and text != text.rstrip():
            yield Refusal(message="messages: final assistant content cannot end with trailing whitespace")


def tools(request: ModelRequest) -> Iterator[Refusal]:
    """Tools have names of the allowed form, each only once, and a tool choice needs tools."""
    offered = objects(request.body.get("tools"))
    names = [as_text(tool.get("name")) for tool in offered]
    for at, tool in enumerate(offered):
        if as_text(tool.get("type")) not in {"", "custom"}:
            continue
        if not _TOOL_NAME.fullmatch(names[at]):
            yield Refusal(message=f"tools.{at}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
        if "input_schema" not in tool:
            yield Refusal(message=f"tools.{at}.custom.input_schema: Field required")
    if len(names) != len(set(names)):
        yield Refusal(message="tools: Tool names must be unique.")
    if "tool_choice" in request.body and not offered:
        yield Refusal(message="tool_choice: `tool_choice` may only be specified while providing `tools`.")


def container(request: ModelRequest) -> Iterator[Refusal]:
    """A container belongs to the account that it was made for."""
    asked = request.body.get("container")
    identifier = as_text(asked) or as_text(as_object(asked).get("id"))
    if identifier and identifier not in request.records.containers:
        yield Refusal(message=f"Container not found: {identifier}", status=404, kind="not_found_error")


def tool_ids(request: ModelRequest) -> Iterator[Refusal]:
    """Ids of tool calls have the allowed form and are unique."""
    seen: set[str] = set()
    for block in blocks_of(request.body):
        if block.type not in {"tool_use", "tool_result", "server_tool_use"}:
            continue
        if not _ID.fullmatch(block.id):
            name = "tool_use_id" if block.type == "tool_result" else "id"
            yield Refusal(message=f"{block.place}.{block.type}.{name}: String should match pattern '^[a-zA-Z0-9_-]+$'")
        if block.type == "tool_use":
            if block.id in seen:
                yield Refusal(message="messages: `tool_use` ids must be unique")
            seen.add(block.id)


def tool_pairs(request: ModelRequest) -> Iterator[Refusal]:
    """Every tool call is answered once, first thing in the next user message; nothing else is answered."""
    turns = turns_of(request.body)
    asked: list[Block] = []
    for turn, following in zip(turns, [*turns[1:], None], strict=True):
        answered: set[str] = set()
        for block in turn.of_type("tool_result"):
            if block.id not in {call.id for call in asked}:
                yield Refusal(
                    message=f"{block.place}: unexpected `tool_use_id` found in `tool_result` blocks: {block.id}. Each `tool_result` "
                    "block must have a corresponding `tool_use` block in the previous message."
                )
            if block.id in answered:
                yield Refusal(
                    message=f"{block.place}: each tool_use must have a single result. Found multiple `tool_result` blocks with id: "
                    f"{block.id}"
                )
            answered.add(block.id)
        asked = turn.of_type("tool_use")
        leading = _leading_results(following.blocks) if following else set[str]()
        if missing := [call for call in asked if call.id not in leading]:
            yield Refusal(
                message=f"messages.{missing[-1].message}: `tool_use` ids were found without `tool_result` blocks immediately after: "
                f"{', '.join(call.id for call in missing)}. Each `tool_use` block must have a corresponding `tool_result` block in the "
                "next message."
            )


def _leading_results(blocks: tuple[Block, ...]) -> set[str]:
    found: set[str] = set()
    for block in blocks:
        if block.type != "tool_result":
            break
        found.add(block.id)
    return found


def _shape(place: str, data: JsonObject, known: Mapping[str, frozenset[str] | None]) -> Iterator[Refusal]:
    kind = as_text(data.get("type"))
    if not kind:
        yield Refusal(message=f"{place}.type: Field required")
    if kind not in known:
        tags = ", ".join(f"'{name}'" for name in sorted(known))
        yield Refusal(message=f"{place}: Input tag '{kind}' found using 'type' does not match any of the expected tags: {tags}")
    fields = known[kind]
    for name in data:
        if fields is not None and name not in fields:
            yield Refusal(message=f"{place}.{kind}.{name}: Extra inputs are not permitted")
