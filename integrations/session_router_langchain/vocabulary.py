"""The content blocks of each provider, by name, as the installed clients write and read them.

Sources: `langchain_openai.chat_models.base._construct_lc_result_from_responses_api` and `_compat`,
`langchain_anthropic.chat_models._format_messages`, `langchain_google_genai.chat_models._parse_response_candidate`,
`langchain_core.messages.content`. Nothing of them is imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard, cast

from session_router_langchain.dialects import ANTHROPIC, dialect_of_provider

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from langchain_core.messages import BaseMessage

Block: TypeAlias = dict[str, Any]

GEMINI_CALL_SIGNATURES = "__gemini_function_call_thought_signatures__"
OPENAI_CALL_IDS = "__openai_function_call_ids__"

OPENAI_CLIENT_CALLS = frozenset({"computer_call", "apply_patch_call", "mcp_approval_request"})
"""Asks that `tool_calls` does not show: the application must answer them all the same."""

OPENAI_CLIENT_ANSWERS = frozenset({"computer_call_output", "apply_patch_call_output", "mcp_approval_response"})

OPENAI_SERVER_TOOLS = frozenset(
    {
        "web_search_call",
        "file_search_call",
        "code_interpreter_call",
        "mcp_call",
        "mcp_list_tools",
        "image_generation_call",
        "tool_search_call",
        "tool_search_output",
    }
)

OPENAI_CALLS = frozenset({"function_call", "custom_tool_call"})
"""Items that repeat an entry of `tool_calls`."""

OPENAI_INPUTS = frozenset({"input_text", "input_image", "input_file"})

ANTHROPIC_SERVER_CALLS = frozenset({"server_tool_use", "mcp_tool_use"})

ANTHROPIC_INPUTS = frozenset({"document", "search_result", "container_upload", "tool_reference"})

GOOGLE_SERVER_TOOLS = frozenset({"executable_code", "code_execution_result"})

GOOGLE_INPUTS = frozenset({"media", "file_data"})

STANDARD_CALLS = frozenset({"tool_call", "tool_call_chunk", "invalid_tool_call"})
"""Standard blocks that repeat an entry of `tool_calls`."""

CALL_BLOCKS = STANDARD_CALLS | OPENAI_CALLS | {"tool_use"}

STANDARD_SERVER_TOOLS = frozenset({"server_tool_call", "server_tool_call_chunk", "server_tool_result"})

THOUGHTS = frozenset({"thinking", "redacted_thinking", "reasoning", "reasoning_content"})


def is_block(value: object) -> TypeGuard[Block]:
    """Whether `value` is a block, rather than a bare text in a list of blocks."""
    return isinstance(value, dict)


def native(block: Block) -> Block:
    """Take the provider's own block out of a standard one that wraps it."""
    if block.get("type") == "non_standard" and is_block(value := block.get("value")):
        return value
    return block


def kind_of(block: Block) -> str:
    """Name the type of a block; empty when it has none."""
    kind = block.get("type")
    return kind if isinstance(kind, str) else ""


def extras_of(block: Mapping[str, Any]) -> Block:
    """Return what a standard block carries besides the standard."""
    extras = block.get("extras")
    return cast("Block", extras) if isinstance(extras, dict) else {}


def native_blocks(message: BaseMessage) -> Iterator[Block]:
    """Yield every block of `message`, unwrapped, with those that `output_version="v0"` keeps beside the content."""
    if isinstance(message.content, list):
        for block in message.content:
            if is_block(block):
                yield native(block)
    yield from kept_aside(message)


def kept_aside(message: BaseMessage) -> tuple[Block, ...]:
    """Return the items of the Responses API that `output_version="v0"` keeps in `additional_kwargs`."""
    outputs = message.additional_kwargs.get("tool_outputs")
    if not isinstance(outputs, list):
        return ()
    return tuple(item for item in cast("list[object]", outputs) if is_block(item))


def is_anthropic_result(kind: str) -> bool:
    """Whether a block is the result of one of Anthropic's own tools; the family grows with each of them."""
    return kind.endswith("_tool_result") and kind != "server_tool_result"


def text_of(value: object) -> str:
    """Return `value` if it is text, else the empty text."""
    return value if isinstance(value, str) else ""


def unfinished_server_calls(message: BaseMessage, blocks: Iterable[Block]) -> tuple[str, ...]:
    """Return the ids of calls of Anthropic's own tools whose result is not in the same message."""
    calls: list[str] = []
    finished: set[str] = set()
    # Other providers always deliver the result with the call, some of them under another id.
    standard = dialect_of_provider(message.response_metadata.get("model_provider"), "") == ANTHROPIC
    for block in blocks:
        kind = kind_of(block)
        if kind in ANTHROPIC_SERVER_CALLS or (standard and kind == "server_tool_call"):
            calls.append(text_of(block.get("id")))
        elif is_anthropic_result(kind):
            finished.add(text_of(block.get("tool_use_id")))
        elif standard and kind == "server_tool_result":
            finished.add(text_of(block.get("tool_call_id")))
    return tuple(call for call in calls if call not in finished)
