"""What ties a message to a model, an account or a dialect.

One function looks at a block, one at what surrounds the content. The report and the conversion are built on
the same two, so that what routing calls bound and what conversion strips cannot differ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from langchain_core.messages import AIMessage, ToolMessage

from session_router.core.binding import Binding, BindingKind, BindingReach
from session_router.core.value import maker, value
from session_router_langchain.dialects import ANTHROPIC, GOOGLE_GENAI, OPENAI_CHAT, OPENAI_RESPONSES, dialect_of_provider, family_of
from session_router_langchain.vocabulary import (
    ANTHROPIC_INPUTS,
    ANTHROPIC_SERVER_CALLS,
    CALL_BLOCKS,
    GEMINI_CALL_SIGNATURES,
    GOOGLE_INPUTS,
    GOOGLE_SERVER_TOOLS,
    OPENAI_CALL_IDS,
    OPENAI_CALLS,
    OPENAI_CLIENT_ANSWERS,
    OPENAI_CLIENT_CALLS,
    OPENAI_INPUTS,
    OPENAI_SERVER_TOOLS,
    STANDARD_SERVER_TOOLS,
    THOUGHTS,
    extras_of,
    is_anthropic_result,
    is_block,
    kept_aside,
    kind_of,
    native,
    native_blocks,
    text_of,
    unfinished_server_calls,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from langchain_core.messages import BaseMessage

    from session_router_langchain.vocabulary import Block

_MEDIA = frozenset({"image", "image_url", "audio", "video", "file", "media"})
_PLAIN = frozenset({"text", "text-plain"}) | CALL_BLOCKS
_STREAM_INDEX = frozenset({"index"})


@value
class Origin:
    """Where a message comes from.

    Attributes:
        author: Model name of the route that wrote it; the provider's id when no route is known for it; `None`
            when no model wrote it.
        account: Endpoint and account of that route; empty when unknown.
        dialect: The API of that route; empty when unknown.
    """

    author: str | None = None
    account: str = ""
    dialect: str = ""


new_origin = maker(Origin)


def bindings_of(message: BaseMessage, *, author: str | None, account: str, dialect: str) -> tuple[Binding, ...]:
    """Return everything that ties `message` to its provider, each kind of tie once.

    An ordinary tool call is no tie: every client writes it anew from `tool_calls`.

    Args:
        message: Any message.
        author: Model name of the route that wrote it; `None` when no model did.
        account: Account of that route; empty when unknown, in which case no account is known to hold its parts.
        dialect: Dialect of that route; what the message says of its provider goes before it.
    """
    if isinstance(message.content, str) and not message.additional_kwargs and not isinstance(message, AIMessage):
        return ()
    origin = origin_told_by(message, new_origin(author=author, account=account, dialect=dialect))
    found = list(bindings_of_envelope(message, origin))
    if isinstance(message.content, list):
        by_model = isinstance(message, AIMessage)
        for block in message.content:
            found.extend(bindings_of_block(block, origin, by_model=by_model))
    return tuple(dict.fromkeys(found)) if found else ()


def origin_told_by(message: BaseMessage, origin: Origin) -> Origin:
    """Return `origin` with the dialect that the message itself tells."""
    if not isinstance(message, AIMessage):
        return origin
    dialect = dialect_of_provider(message.response_metadata.get("model_provider"), origin.dialect)
    if family_of(dialect) == "openai":
        # The provider's name is the same for both of its APIs.
        known = origin.dialect if family_of(origin.dialect) == "openai" else ""
        dialect = known or (OPENAI_RESPONSES if has_response_id(message) else OPENAI_CHAT)
    return origin if dialect == origin.dialect else Origin(author=origin.author, account=origin.account, dialect=dialect)


def bindings_of_envelope(message: BaseMessage, origin: Origin) -> Iterator[Binding]:
    """Yield what ties the message outside of its content."""
    if isinstance(message, AIMessage):
        if has_response_id(message):
            yield _account(BindingKind.ITEM_ID, origin)
        container = message.response_metadata.get("container")
        if is_block(container) and container.get("id"):
            yield _account(BindingKind.CONTAINER, origin)
        if isinstance(message.content, list) and unfinished_server_calls(message, native_blocks(message)):
            # Only where it was paused can it be resumed.
            yield _account(BindingKind.SERVER_TOOL_BLOCK, origin)
        if message.additional_kwargs:
            yield from _of_extra(message, origin)
    elif isinstance(message, ToolMessage) and is_computer_output(message):
        yield _dialect(BindingKind.CLIENT_TOOL_BLOCK, OPENAI_RESPONSES)


def _of_extra(message: AIMessage, origin: Origin) -> Iterator[Binding]:
    extra = message.additional_kwargs
    if extra.get(OPENAI_CALL_IDS):
        yield _account(BindingKind.ITEM_ID, origin)
    if is_block(reasoning := extra.get("reasoning")):
        yield from _item(reasoning, origin)
    for item in kept_aside(message):
        yield from bindings_of_block(item, origin, by_model=True)
    if extra.get(GEMINI_CALL_SIGNATURES):
        yield _model(BindingKind.THOUGHT_SIGNATURE, origin)
    audio = extra.get("audio")
    if is_block(audio) and audio.get("id"):
        yield _account(BindingKind.ITEM_ID, origin)
    elif audio is not None:
        yield _dialect(BindingKind.FOREIGN_BLOCK, origin.dialect)


def is_computer_output(message: ToolMessage) -> bool:
    """Whether `message` answers a `computer_call`, which no `tool_calls` shows."""
    return message.additional_kwargs.get("type") == "computer_call_output"


def has_response_id(message: AIMessage) -> bool:
    """Whether the message names a response that the Responses API stored.

    `use_previous_response_id` reads it from the metadata; `output_version="v0"` sends `message.id` back as the
    id of the text. Anthropic's ids begin with `msg_` too and are never sent.
    """
    return is_response_id(message.response_metadata.get("id")) or is_response_id(message.id)


def is_response_id(value: object) -> bool:
    """Whether `value` is the id of a stored response."""
    return isinstance(value, str) and value.startswith("resp_")


def bindings_of_block(block: object, origin: Origin, *, by_model: bool) -> Iterator[Binding]:
    """Yield what ties one element of a message's content.

    Args:
        block: A block, or a bare text in a list of blocks.
        origin: Where the message comes from.
        by_model: Whether a model wrote it, rather than a user, a tool or the application.
    """
    if not is_block(block):
        # Gemini mixes bare texts and blocks; OpenAI refuses the mixture.
        if by_model and origin.dialect == GOOGLE_GENAI:
            yield _dialect(BindingKind.FOREIGN_BLOCK, GOOGLE_GENAI)
        return
    inner = native(block)
    if has_cache_marker(block) or (inner is not block and has_cache_marker(inner)):
        yield _dialect(BindingKind.CACHE_MARKER, ANTHROPIC)
    yield from (_of_model(inner, origin) if by_model else _of_others(inner, origin))


def has_cache_marker(block: Mapping[str, Any]) -> bool:
    """Whether `block` carries Anthropic's `cache_control`, at any of the three places where clients look."""
    return "cache_control" in block or any(
        "cache_control" in nested for key in ("extras", "metadata") if is_block(nested := block.get(key))
    )


def signature_of(block: Mapping[str, Any]) -> object:
    """Return a block's signature, wherever its client keeps it."""
    return block.get("thought_signature") or block.get("signature") or extras_of(block).get("signature")


def _of_model(block: Block, origin: Origin) -> Iterator[Binding]:
    kind = kind_of(block)
    if kind in THOUGHTS:
        yield from _of_thought(kind, block, origin)
        return
    if signature_of(block):
        yield _model(BindingKind.THOUGHT_SIGNATURE, origin)
    home = _tool_home(kind, block, origin)
    if home is not None:
        yield home
        yield from _item(block, origin)
        if block.get("container_id") or extras_of(block).get("container_id"):
            yield _account(BindingKind.CONTAINER, origin)
    elif kind in {"text", "refusal"} | CALL_BLOCKS:
        yield from _of_speech(kind, block, origin)
    elif kind == "compaction":
        yield _dialect(BindingKind.FOREIGN_BLOCK, ANTHROPIC if origin.dialect == ANTHROPIC else OPENAI_RESPONSES)
        yield from _item(block, origin)
    elif kind in _MEDIA:
        yield _dialect(BindingKind.FOREIGN_BLOCK, origin.dialect)
        if file_id_of(block):
            yield _account(BindingKind.FILE_ID, origin)
    elif kind == "function_call_signature" or kind in _PLAIN or block.keys() <= _STREAM_INDEX:
        return
    else:
        yield _dialect(BindingKind.FOREIGN_BLOCK, origin.dialect)


def _of_thought(kind: str, block: Block, origin: Origin) -> Iterator[Binding]:
    item = tuple(_item(block, origin))
    if item and kind == "reasoning" and origin.dialect not in {ANTHROPIC, GOOGLE_GENAI}:
        yield from item
    elif "summary" in block:
        yield _dialect(BindingKind.FOREIGN_BLOCK, OPENAI_RESPONSES)
    elif origin.dialect == GOOGLE_GENAI and signature_of(block):
        yield _model(BindingKind.THOUGHT_SIGNATURE, origin)
    elif kind != "reasoning_content" and (kind == "redacted_thinking" or origin.dialect == ANTHROPIC or signature_of(block)):
        # Anthropic takes no thinking without a signature, so an unsigned one counts as signed by nobody else.
        yield _model(BindingKind.SIGNED_THINKING, origin)
    else:
        yield _dialect(BindingKind.FOREIGN_BLOCK, origin.dialect)


def _of_speech(kind: str, block: Block, origin: Origin) -> Iterator[Binding]:
    if kind in {"refusal", "custom_tool_call"}:
        yield _dialect(BindingKind.FOREIGN_BLOCK, OPENAI_RESPONSES)
    caller = block.get("caller") or extras_of(block).get("caller")
    if is_block(caller) and caller.get("type") != "direct":
        yield _dialect(BindingKind.SERVER_TOOL_BLOCK, ANTHROPIC)
    named = text_of(block.get("id")).startswith("msg_") if kind in {"text", "refusal"} else kind in OPENAI_CALLS and block.get("id")
    if named or extras_of(block).get("item_id") or any(map(cites_stored_file, annotations_of(block))):
        yield _account(BindingKind.ITEM_ID, origin)
    if any(map(cites_sealed_result, annotations_of(block))):
        yield _account(BindingKind.ENCRYPTED_REASONING, origin)


def _tool_home(kind: str, block: Block, origin: Origin) -> Binding | None:
    """Return the tie of a block of a tool that the model's provider knows and no other does."""
    if kind in OPENAI_CLIENT_CALLS | OPENAI_CLIENT_ANSWERS or block.get("execution") == "client":
        return _dialect(BindingKind.CLIENT_TOOL_BLOCK, OPENAI_RESPONSES)
    if kind in OPENAI_SERVER_TOOLS or (kind == "image" and text_of(block.get("id")).startswith("ig_")):
        return _dialect(BindingKind.SERVER_TOOL_BLOCK, OPENAI_RESPONSES)
    if kind in ANTHROPIC_SERVER_CALLS or is_anthropic_result(kind):
        return _dialect(BindingKind.SERVER_TOOL_BLOCK, ANTHROPIC)
    if kind in GOOGLE_SERVER_TOOLS:
        return _dialect(BindingKind.SERVER_TOOL_BLOCK, GOOGLE_GENAI)
    if kind in STANDARD_SERVER_TOOLS:
        return _dialect(BindingKind.SERVER_TOOL_BLOCK, origin.dialect)
    return None


def _of_others(block: Block, origin: Origin) -> Iterator[Binding]:
    kind = kind_of(block)
    if kind in OPENAI_CLIENT_ANSWERS | {"tool_search_output"}:
        yield _dialect(BindingKind.CLIENT_TOOL_BLOCK, OPENAI_RESPONSES)
    elif kind in OPENAI_INPUTS | {"custom_tool_call_output"}:
        yield _dialect(BindingKind.FOREIGN_BLOCK, OPENAI_RESPONSES)
    elif kind in ANTHROPIC_INPUTS | {"tool_result"} or (kind == "image" and is_block(block.get("source"))):
        yield _dialect(BindingKind.FOREIGN_BLOCK, ANTHROPIC)
    elif kind in GOOGLE_INPUTS:
        yield _dialect(BindingKind.FOREIGN_BLOCK, GOOGLE_GENAI)
    elif kind == "file" and is_block(held := block.get("file")) and not held.get("file_id"):
        yield _dialect(BindingKind.FOREIGN_BLOCK, OPENAI_CHAT)
    file_id = file_id_of(block)
    if not file_id:
        return
    if origin.account:
        yield _account(BindingKind.FILE_ID, origin)
    elif home := home_of_file(block):
        # Whose account a user's upload is in cannot be seen; which API it was made with can.
        yield _dialect(BindingKind.FILE_ID, home)


def file_id_of(block: Mapping[str, Any]) -> str:
    """Return the id under which a provider holds the file that `block` stands for; empty when it brings its data."""
    if is_block(nested := block.get("source")) or is_block(nested := block.get("file")):
        return text_of(nested.get("file_id"))
    if kind_of(cast("Block", block)) in GOOGLE_INPUTS:
        return text_of(block.get("file_uri"))
    return text_of(block.get("file_id")) or (text_of(block.get("id")) if block.get("source_type") == "id" else "")


def home_of_file(block: Mapping[str, Any]) -> str:
    """Name the family whose files `block` points at; empty when its shape does not tell."""
    kind, file_id = kind_of(cast("Block", block)), file_id_of(block)
    if kind in OPENAI_INPUTS or is_block(block.get("file")) or file_id.startswith("file-"):
        return "openai"
    if kind in ANTHROPIC_INPUTS or is_block(block.get("source")) or file_id.startswith("file_"):
        return ANTHROPIC
    if kind in GOOGLE_INPUTS or file_id.startswith(("gs://", "files/", "https://generativelanguage.googleapis.com/")):
        return GOOGLE_GENAI
    return ""


def annotations_of(block: Mapping[str, Any]) -> list[Block]:
    """Return the annotations of a text, which Anthropic calls citations."""
    annotations = block.get("annotations") or block.get("citations")
    return [one for one in cast("list[object]", annotations) if is_block(one)] if isinstance(annotations, list) else []


def cites_sealed_result(annotation: Block) -> bool:
    """Whether an annotation points into a search result that only its account can open."""
    return bool(annotation.get("encrypted_index") or extras_of(annotation).get("encrypted_index"))


def cites_stored_file(annotation: Block) -> bool:
    """Whether an annotation names a file or container that only its account holds."""
    inner = annotation.get("value") if annotation.get("type") == "non_standard_annotation" else annotation
    held = inner if is_block(inner) else annotation
    return bool(held.get("file_id") or held.get("container_id") or extras_of(held).get("file_id"))


def is_sealed(block: Mapping[str, Any]) -> bool:
    """Whether `block`, or a part of the result it brings, can be opened by the account that made it and by no other."""
    if block.get("encrypted_content") or extras_of(block).get("encrypted_content"):
        return True
    for key in ("content", "output"):
        part = block.get(key)
        parts = cast("list[object]", part) if isinstance(part, list) else [part]
        if any(is_block(one) and (one.get("encrypted_content") or one.get("encrypted_stdout")) for one in parts):
            return True
    return False


def _item(block: Mapping[str, Any], origin: Origin) -> Iterator[Binding]:
    if origin.dialect in {ANTHROPIC, GOOGLE_GENAI}:
        # Their ids pair a call with its result inside the request and are looked up nowhere.
        if is_sealed(block):
            yield _account(BindingKind.ENCRYPTED_REASONING, origin)
        return
    if is_sealed(block):
        # Sealed for an account and a family of models; of families a route tells nothing.
        yield _model(BindingKind.ENCRYPTED_REASONING, origin)
    id_ = block.get("id") or block.get("tool_call_id")
    if isinstance(id_, str) and id_ and not id_.startswith("lc_"):
        yield _account(BindingKind.ITEM_ID, origin)


def _model(kind: BindingKind, origin: Origin) -> Binding:
    return Binding(kind=kind, reach=BindingReach.MODEL, holder=origin.author or "")


def _account(kind: BindingKind, origin: Origin) -> Binding:
    return Binding(kind=kind, reach=BindingReach.ACCOUNT, holder=origin.account)


def _dialect(kind: BindingKind, dialect: str) -> Binding:
    return Binding(kind=kind, reach=BindingReach.DIALECT, holder=dialect)
