"""Items of the Responses API: which there are, what they may hold, and the conversation that a request means."""

from collections.abc import Iterator
from dataclasses import dataclass

from session_router.testing.providers.dialect import ModelRequest
from session_router.testing.providers.wire import JsonObject, as_text, objects

_TYPE_NAMES = (
    "message file_search_call computer_call computer_call_output web_search_call function_call function_call_output reasoning compaction "
    "image_generation_call code_interpreter_call local_shell_call local_shell_call_output shell_call shell_call_output apply_patch_call "
    "apply_patch_call_output mcp_list_tools mcp_approval_request mcp_approval_response mcp_call custom_tool_call custom_tool_call_output "
    "tool_search_call tool_search_output item_reference"
)
TYPES = tuple(_TYPE_NAMES.split())
FIELDS = {
    "message": {"type", "role", "content", "id", "status", "phase"},
    "function_call": {"type", "id", "call_id", "name", "arguments", "status", "namespace", "caller", "async"},
    "function_call_output": {"type", "id", "call_id", "output", "status", "caller"},
    "reasoning": {"type", "id", "summary", "content", "encrypted_content", "status"},
}
"""Fields of the items whose fields are checked."""

ID_PREFIXES = {
    "message": "msg",
    "function_call": "fc",
    "function_call_output": "fc",
    "reasoning": "rs",
    "web_search_call": "ws",
    "computer_call": "cu",
    "apply_patch_call": "apc",
    "mcp_approval_request": "mcpr",
}
REASONING_FOLLOWERS = frozenset(kind for kind in TYPES if kind.endswith("_call")) | {"reasoning", "mcp_approval_request", "mcp_list_tools"}
"""What may stand after a reasoning item, besides an assistant message."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Exchanged:
    """A kind of call that the client answers, and how the answer names it.

    Attributes:
        call: The type of the call.
        call_key: The field of the call that identifies it.
        output: The type of the answer.
        output_key: The field of the answer that names the call.
        label: What error messages say.
    """

    call: str
    output: str
    label: str
    call_key: str = "call_id"
    output_key: str = "call_id"


EXCHANGED = (
    Exchanged(call="function_call", output="function_call_output", label="function call"),
    Exchanged(call="custom_tool_call", output="custom_tool_call_output", label="custom tool call"),
    Exchanged(call="computer_call", output="computer_call_output", label="computer call"),
    Exchanged(call="local_shell_call", output="local_shell_call_output", label="local shell call", call_key="id", output_key="id"),
    Exchanged(call="shell_call", output="shell_call_output", label="shell call"),
    Exchanged(call="apply_patch_call", output="apply_patch_call_output", label="apply patch call"),
    Exchanged(
        call="mcp_approval_request",
        output="mcp_approval_response",
        label="MCP approval request",
        call_key="id",
        output_key="approval_request_id",
    ),
)


def type_of(item: JsonObject) -> str:
    """Return an item's type; messages and references may leave theirs out."""
    if kind := as_text(item.get("type")):
        return kind
    if "role" in item:
        return "message"
    return "item_reference" if "id" in item else ""


def sent_items(body: JsonObject) -> list[JsonObject]:
    """Return the items of the request itself."""
    sent = body.get("input")
    return [{"type": "message", "role": "user", "content": sent}] if isinstance(sent, str) else objects(sent)


def conversation(request: ModelRequest) -> list[JsonObject]:
    """Return the whole conversation: what `previous_response_id` stands for, then what was sent, references resolved."""
    records = request.records
    items = list(records.responses.get(as_text(request.body.get("previous_response_id")), ()))
    for item in sent_items(request.body):
        stored = records.items.get(as_text(item.get("id"))) if type_of(item) == "item_reference" else None
        items.append(stored.item if stored else item)
    return items


def is_output(item: JsonObject) -> bool:
    """Return whether a model wrote the item."""
    kind = type_of(item)
    return item.get("role") == "assistant" if kind == "message" else kind in REASONING_FOLLOWERS


def parts_of(item: JsonObject) -> Iterator[JsonObject]:
    """Yield the content parts of a message; a plain text counts as one part."""
    content = item.get("content")
    if isinstance(content, str):
        yield {"type": "output_text" if item.get("role") == "assistant" else "input_text", "text": content}
    else:
        yield from objects(content)
