"""What a provider would read of one message or tool: a digest of it, and an estimate of its tokens."""

from __future__ import annotations

import contextlib
import hashlib
import json
from typing import TYPE_CHECKING, Any, cast

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from session_router.core.model import Capability
from session_router.core.step import DIGEST_BYTES
from session_router_langchain.cache_markers import MARKER
from session_router_langchain.vocabulary import is_block

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

TOKENS_OF_ENVELOPE = 4  # role and separators of one message
BYTES_PER_TOKEN = 4  # the usual estimate; the provider's own count replaces it where it reports one
TOKENS_OF_MEDIUM = 1_000  # an image or a file, whose size says nothing about its tokens


def fingerprint(message: BaseMessage) -> tuple[bytes, int, frozenset[str]]:
    """Digest, estimated tokens and needs of everything that a provider would read of `message`."""
    parts: list[bytes] = [message.type.encode()]
    media: list[Capability] = []
    calls = (*message.tool_calls, *message.invalid_tool_calls) if isinstance(message, AIMessage) else ()
    if isinstance(message.content, str):
        parts.append(_bytes(message.content))
        length = len(parts[-1])
    else:
        # Content that was set in place may be anything.
        blocks = [*message.content] if isinstance(message.content, list | tuple) else list[str | dict[Any, Any]]()  # pyright: ignore[reportUnnecessaryIsInstance] -- as above
        media = [_MEDIA[kind] for block in blocks if isinstance(block, dict) and (kind := str(block.get("type"))) in _MEDIA]
        parts.append(canonical(_unmarked(blocks), stands_for=message.content))
        length = _length_of_blocks(blocks, {str(call["id"]) for call in calls if call["id"]})
    if calls:
        parts.append(canonical([[call["id"], call["name"], call["args"]] for call in calls]))
        length += len(parts[-1]) - sum(len(str(call["id"] or "")) for call in calls)
    elif isinstance(message, ToolMessage):
        parts.append(_bytes(f"{message.tool_call_id}|{message.status}"))
    if message.name:
        parts.append(_bytes(message.name))
        length += len(parts[-1])
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for part in parts:
        digest.update(b"%d:" % len(part))
        digest.update(part)
    tokens = TOKENS_OF_ENVELOPE - (-length // BYTES_PER_TOKEN) + len(media) * TOKENS_OF_MEDIUM
    return digest.digest(), tokens, frozenset(media)


def _unmarked(blocks: Sequence[object]) -> Sequence[object]:
    """Drop cache markers: they say what to cache, and move on from request to request, but what is read stays the same."""
    return [{key: block[key] for key in block if key != MARKER} if is_block(block) and MARKER in block else block for block in blocks]


def _length_of_blocks(blocks: Sequence[object], calls: AbstractSet[str]) -> int:
    """Bytes of the content blocks that a model reads, without media and without `calls`, which are counted by themselves."""
    length = 0
    for block in blocks:
        if is_block(block) and (
            str(block.get("type")) in _MEDIA or not calls.isdisjoint({str(block.get("id")), str(block.get("call_id"))})
        ):
            continue
        # Too deep, or a number of too many digits: an estimate is never worth the call.
        with contextlib.suppress(RecursionError, ValueError):
            length += _length(block)
    return length


def _length(value: object) -> int:
    """Bytes of the texts and numbers in `value`: what stands around them is the client's, not the model's."""
    if isinstance(value, str):
        return len(_bytes(value))
    if is_block(value):
        return sum(_length(inner) for key, inner in value.items() if key not in UNREAD)
    if isinstance(value, list | tuple):
        return sum(map(_length, cast("Sequence[object]", value)))
    return len(str(value)) if isinstance(value, int | float) else 0


UNREAD = frozenset(
    {
        "annotations",
        "cache_control",
        "call_id",
        "encrypted_content",
        "extras",
        "id",
        "index",
        "signature",
        "status",
        "tool_call_id",
        "tool_use_id",
        "type",
    }
)
"""Keys of a block under which there is nothing that a model reads as text."""

_MEDIA = {
    "image": Capability.IMAGES,
    "image_url": Capability.IMAGES,
    "input_image": Capability.IMAGES,
    "audio": Capability.AUDIO,
    "input_audio": Capability.AUDIO,
    "file": Capability.FILES,
    "input_file": Capability.FILES,
    "document": Capability.FILES,
}


_JSON = json.JSONEncoder(sort_keys=True, ensure_ascii=False, default=repr)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def canonical(value: object, *, stands_for: object = None) -> bytes:
    """Return `value` as JSON with sorted keys, for a digest.

    Args:
        value: Plain values; others count by their `repr`, and differ where that holds an address.
        stands_for: What it was made of, where it is made anew each time.
    """
    try:
        return _bytes(_JSON.encode(value))
    except (RecursionError, TypeError, ValueError):
        # Too deep, or keys that do not compare. The call must go through; a history that cannot be recognised
        # again only loses its warmth.
        return b"unreadable:" + str(id(value if stands_for is None else stands_for)).encode()


def fingerprint_of_tool(tool: Any) -> tuple[bytes, int]:  # noqa: ANN401 -- tools come in many types
    """Digest and estimated tokens of what a provider would read of `tool`."""
    raw = canonical(schema_of(tool))
    return hashlib.blake2b(raw, digest_size=DIGEST_BYTES).digest(), -(-len(raw) // BYTES_PER_TOKEN)


def schema_of(tool: Any) -> Any:  # noqa: ANN401 -- as above
    """Return what a provider would read of `tool`, as plain values."""
    if isinstance(tool, dict):
        return tool  # pyright: ignore[reportUnknownVariableType] -- tools come untyped
    from langchain_core.utils.function_calling import convert_to_openai_tool

    try:
        return convert_to_openai_tool(tool)
    except Exception:  # noqa: BLE001 -- binding the tool will say what is wrong with it; its name will do here
        return getattr(tool, "name", type(tool).__name__)
