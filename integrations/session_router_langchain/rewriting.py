"""One bound block as something that any model can read: stripped, in the standard form, or told as text."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from session_router.core.binding import BindingKind
from session_router_langchain.bindings import annotations_of, cites_sealed_result, cites_stored_file, file_id_of
from session_router_langchain.cache_markers import without_marker
from session_router_langchain.dialects import OPENAI_RESPONSES
from session_router_langchain.vocabulary import (
    ANTHROPIC_SERVER_CALLS,
    CALL_BLOCKS,
    OPENAI_CALLS,
    OPENAI_CLIENT_ANSWERS,
    OPENAI_CLIENT_CALLS,
    OPENAI_SERVER_TOOLS,
    STANDARD_SERVER_TOOLS,
    THOUGHTS,
    extras_of,
    is_anthropic_result,
    is_block,
    kind_of,
    native,
    text_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from session_router_langchain.vocabulary import Block

LONGEST_ACCOUNT = 4_000
"""Characters of a tool's result that a text about it keeps."""

_TOLD = frozenset({BindingKind.SERVER_TOOL_BLOCK, BindingKind.CLIENT_TOOL_BLOCK, BindingKind.FOREIGN_BLOCK})
_MEDIA = frozenset({"image", "image_url", "audio", "video", "file", "media"})
_UNREADABLE = frozenset(
    {
        "id",
        "type",
        "index",
        "status",
        "call_id",
        "tool_use_id",
        "tool_call_id",
        "tool_id",
        "container_id",
        "file_id",
        "caller",
        "signature",
        "thought_signature",
        "extras",
        "retrieved_at",
        "cache_control",
        "encrypted_content",
        "encrypted_index",
        "encrypted_stdout",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a block's rewriting depends on besides the block.

    Attributes:
        dialect: The API that the request goes to.
        by_model: Whether a model wrote the block.
        calls: Ids of the message's `tool_calls` and `invalid_tool_calls`.
        names: Names of the provider's own tools by the id of their call.
    """

    dialect: str
    by_model: bool
    calls: frozenset[str] = frozenset()
    names: Mapping[str, str] = field(default_factory=dict[str, str])


def text_block(text: str) -> Block:
    """Return a text that every dialect reads."""
    return {"type": "text", "text": text}


def rewritten(block: object, failing: frozenset[BindingKind], around: Surroundings) -> list[Block]:
    """Return what stands for `block` in a request to a model that cannot take it.

    Args:
        block: An element of a message's content.
        failing: The kinds of its ties that the target does not accept; none of them kept by the provider.
        around: What it depends on.

    Returns:
        Zero or more blocks with none of these ties.
    """
    if not is_block(block):
        return [text_block(str(block))] if block else []
    inner = native(block)
    kind = kind_of(inner)
    if kind in THOUGHTS or kind == "function_call_signature":
        return []
    if kind in CALL_BLOCKS:
        replaced = _call(kind, inner, around)
    elif kind == "compaction":
        replaced = _told(_summary(inner))
    elif _is_tool(kind, inner):
        replaced = _told(describe_tool(inner, around.names))
    elif BindingKind.FOREIGN_BLOCK in failing:
        replaced = _by_model(kind, inner) if around.by_model else standard(inner)
    elif failing & _TOLD:
        replaced = _told(describe_tool(inner, around.names))
    else:
        stripped = _without_ids(inner) if failing & {BindingKind.ITEM_ID, BindingKind.ENCRYPTED_REASONING} else inner
        stripped = _without_signature(stripped) if BindingKind.THOUGHT_SIGNATURE in failing else stripped
        replaced = [stripped] if inner is block else [{**block, "value": stripped}]
    return [without_marker(one) for one in replaced] if BindingKind.CACHE_MARKER in failing else replaced


def describe_tool(block: Block, names: Mapping[str, str]) -> str:
    """Tell what a provider's own tool was asked, or answered, in one readable text."""
    kind = kind_of(block)
    if kind == "mcp_approval_response":
        return f"[the request was {'approved' if block.get('approve') else 'refused'}]"
    name = tool_name(block) or names.get(text_of(block.get("tool_use_id")) or text_of(block.get("tool_call_id")), "the tool")
    asked = _first(block, "input", "args", "action", "queries", "arguments", "code", "executable_code", "operation", "revised_prompt")
    answered = _first(block, "content", "output", "outputs", "results", "tools", "code_execution_result", "error")
    told = f"[{name}"
    if asked is not None:
        told += f" was asked: {_readable(asked)}"
    if answered is not None:
        told += f"{';' if asked is not None else ''} it answered: {_readable(answered)}"
    if asked is None and answered is None:
        told += " was used" if kind not in OPENAI_CLIENT_ANSWERS else " was answered"
    return told + "]"


def tool_name(block: Block) -> str:
    """Name the tool of a block; empty when only its call knows."""
    kind = kind_of(block)
    if kind in {"executable_code", "code_execution_result"}:
        return "code execution"
    if named := text_of(extras_of(block).get("tool_name")) or text_of(block.get("name")):
        return named
    if kind.endswith("_tool_result") or kind in {"server_tool_call", "tool_result"}:
        return (
            "" if kind in {"server_tool_result", "mcp_tool_result", "tool_result"} else kind.removesuffix("_tool_result").replace("_", " ")
        )
    return kind.removesuffix("_output").removesuffix("_call").replace("_", " ")


def standard(block: Block) -> list[Block]:
    """Return a user's or a tool's block in the form of `langchain_core.messages.content`."""
    if file_id := file_id_of(block):
        return [{"type": "image" if "image" in kind_of(block) else "file", "file_id": file_id}]
    if is_block(source := block.get("source")):
        return _from_source("image" if kind_of(block) == "image" else "file", source, text_of(block.get("title")))
    if is_block(held := block.get("file")):
        return [_data("file", held.get("file_data"), filename=text_of(held.get("filename")))]
    form = _STANDARD_FORMS.get(kind_of(block))
    return [text_block(describe_tool(block, {}))] if form is None else form(block)


def _input_file(block: Block) -> list[Block]:
    return [_data("file", block.get("file_data") or block.get("file_url"), filename=text_of(block.get("filename")))]


def _media(block: Block) -> list[Block]:
    mime_type = text_of(block.get("mime_type"))
    return [_data(_medium(mime_type), block.get("data"), mime_type=mime_type)]


def _result(block: Block) -> list[Block]:
    return [*_told(_heading(block)), *(one for part in _parts(block.get("content")) for one in _standard_part(part))]


def _computer_output(block: Block) -> list[Block]:
    return [text_block("[the computer call was answered with this screen]"), *_screen(block.get("output"))]


_STANDARD_FORMS: Mapping[str, Callable[[Block], list[Block]]] = {
    **dict.fromkeys(("text", "text-plain", "image", "image_url", "audio", "input_audio", "video", "file"), lambda block: [block]),
    "input_text": lambda block: [text_block(text_of(block.get("text")))],
    "input_image": lambda block: [_data("image", block.get("image_url"))],
    "input_file": _input_file,
    "media": _media,
    "tool_result": _result,
    "search_result": _result,
    "custom_tool_call_output": lambda block: [text_block(text_of(block.get("output")) or _readable(block.get("output")))],
    "computer_call_output": _computer_output,
}


def screen(url: str) -> Block:
    """Return a picture of a screen, given as a URL or a data URL."""
    return _data("image", url)


def _call(kind: str, block: Block, around: Surroundings) -> list[Block]:
    call_id = text_of(block.get("call_id") if kind in OPENAI_CALLS else block.get("id"))
    if kind in OPENAI_CALLS and around.dialect == OPENAI_RESPONSES:
        return [{key: value for key, value in block.items() if key != "id"}]
    if call_id in around.calls:
        # The target's own client writes the call anew, from `tool_calls`.
        return []
    told = _first(block, "input", "args", "arguments")
    return [text_block(f"[{text_of(block.get('name')) or 'a tool'} was asked: {_readable(told)}]")]


def _is_tool(kind: str, block: Block) -> bool:
    if kind in OPENAI_SERVER_TOOLS | OPENAI_CLIENT_CALLS | ANTHROPIC_SERVER_CALLS | STANDARD_SERVER_TOOLS | {"apply_patch_call_output"}:
        return True
    return is_anthropic_result(kind) or (kind == "image" and text_of(block.get("id")).startswith("ig_"))


def _by_model(kind: str, block: Block) -> list[Block]:
    if kind == "refusal":
        return _told(text_of(block.get("refusal")))
    if kind in _MEDIA:
        # No API takes media back in the place of the assistant, but the one that made them.
        return [text_block(f"[the assistant made {'an image' if kind.startswith('image') else 'a file'}, which is not shown here]")]
    return _told(text_of(block.get("text")) or f"[{kind or 'a part of the answer'} is not shown here]")


def _without_ids(block: Block) -> Block:
    left = {key: value for key, value in block.items() if key != "id"}
    annotations = annotations_of(block)
    free = [one for one in annotations if not cites_stored_file(one) and not cites_sealed_result(one)]
    if len(free) < len(annotations):
        left["citations" if "citations" in block else "annotations"] = free
        if not free:
            left.pop("citations", None)
    if "item_id" in extras_of(block):
        left["extras"] = {key: value for key, value in extras_of(block).items() if key != "item_id"}
    return left


def _without_signature(block: Block) -> Block:
    left = {key: value for key, value in block.items() if key not in {"signature", "thought_signature"}}
    if "signature" in extras_of(block):
        left["extras"] = {key: value for key, value in extras_of(block).items() if key != "signature"}
        if not left["extras"]:
            del left["extras"]
    return left


def _summary(block: Block) -> str:
    content = text_of(block.get("content"))
    return f"[Summary of the conversation up to here: {content}]" if content else ""


def _heading(block: Block) -> str:
    named = [told for key in ("title", "source") if (told := text_of(block.get(key)))]
    return f"[{', '.join(named)}]" if named else ""


def _told(text: str) -> list[Block]:
    return [text_block(text)] if text.strip() else []


def _parts(content: object) -> Sequence[object]:
    if isinstance(content, str):
        return [text_block(content)] if content.strip() else []
    return cast("list[object]", content) if isinstance(content, list) else []


def _standard_part(part: object) -> list[Block]:
    if not is_block(part):
        return _told(str(part))
    return standard(part)


def _from_source(kind: str, source: Block, title: str) -> list[Block]:
    match source.get("type"):
        case "text":
            return [*_told(f"[{title}]" if title else ""), text_block(text_of(source.get("data")))]
        case "content":
            return [*_told(f"[{title}]" if title else ""), *(one for part in _parts(source.get("content")) for one in _standard_part(part))]
        case "url":
            return [{"type": kind, "url": text_of(source.get("url"))}]
        case _:
            return [_data(kind, source.get("data"), mime_type=text_of(source.get("media_type")), filename=title)]


def _screen(output: object) -> list[Block]:
    url = text_of(output.get("image_url")) if is_block(output) else ""
    return [_data("image", url)] if url else []


def _data(kind: str, held: object, *, mime_type: str = "", filename: str = "") -> Block:
    """Return a standard data block of base64 text, bytes, a data URL or a URL."""
    if isinstance(held, bytes):
        held = base64.b64encode(held).decode("ascii")
    text = text_of(held)
    block: Block = {"type": kind}
    if text.startswith("data:"):
        header, _, text = text.removeprefix("data:").partition(",")
        mime_type = mime_type or header.removesuffix(";base64")
    elif text.startswith(("http://", "https://")):
        return {"type": kind, "url": text}
    block["base64"] = text
    block["mime_type"] = mime_type or ("image/png" if kind == "image" else "application/pdf")
    if kind == "file":
        # OpenAI refuses files without a name.
        block["filename"] = filename or "document"
    return block


def _medium(mime_type: str) -> str:
    family = mime_type.partition("/")[0]
    return family if family in {"image", "audio", "video"} else "file"


def _first(block: Block, *keys: str) -> Any:  # noqa: ANN401 -- whatever JSON a tool takes or gives
    return next((block[key] for key in keys if block.get(key) not in (None, "", [], {})), None)


def _readable(value: object) -> str:
    readable = _without_unreadable(value)
    text = readable if isinstance(readable, str) else json.dumps(readable, ensure_ascii=False, default=str)
    return text if len(text) <= LONGEST_ACCOUNT else text[:LONGEST_ACCOUNT] + " [shortened]"


def _without_unreadable(value: object) -> object:
    if is_block(value):
        return {key: _without_unreadable(one) for key, one in value.items() if key not in _UNREADABLE}
    if isinstance(value, list):
        return [_without_unreadable(one) for one in cast("list[object]", value)]
    return value
