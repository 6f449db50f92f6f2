"""Whether two requests say the same to a model, whatever marks stand beside the words."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from session_router_langchain.cache_markers import MARKER
from session_router_langchain.vocabulary import is_block

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.messages import BaseMessage


def same_words(messages: Sequence[BaseMessage], others: Sequence[BaseMessage]) -> bool:
    """Whether `messages` and `others` are the same but for cache markers, and for texts that stand alone or in a block."""
    return len(messages) == len(others) and all(
        one is other or (one.type == other.type and one.name == other.name and _words(one) == _words(other))
        for one, other in zip(messages, others, strict=True)
    )


def _words(message: BaseMessage) -> list[object]:
    content: object = message.content
    blocks = [content] if isinstance(content, str) else cast("list[object]", content)
    return [_unmarked({"type": "text", "text": block} if isinstance(block, str) else block) for block in blocks if block != ""]


def _unmarked(block: object) -> object:
    return {key: block[key] for key in block if key != MARKER} if is_block(block) else block
