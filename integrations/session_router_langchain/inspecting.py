"""Texts of requests, for detectors: each new message is looked at once, before it is read."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from langchain_core.messages import AIMessage, BaseMessage

from session_router.core.governance import PUBLIC, Tag, join
from session_router.detectors.detecting import Detected
from session_router_langchain.fingerprints import UNREAD, canonical, schema_of
from session_router_langchain.vocabulary import is_block

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


class Found(NamedTuple):
    """What was found in a request.

    Attributes:
        messages: By `id` of a message that was looked at, if anything was found.
        head: In what is sent before the messages; `None` for nothing.
        certain: Whether everything new was looked at. If not, it is read again next time.
    """

    messages: Mapping[int, Tag] = MappingProxyType({})
    head: Tag | None = None
    certain: bool = True


NOTHING: Final = Found()
"""Nobody looks for anything."""

UNSEEN: Final = Found(certain=False)
"""Somebody should have looked, and did not."""


class Inspection:
    """What is new of one request, as texts.

    Args:
        messages: Those that were not read before.
        system: The system prompt, if it is not among the messages.
        tools: What is bound.
        undetected: What a message counts as that cannot be read.
    """

    def __init__(self, messages: Sequence[BaseMessage], system: BaseMessage | None, tools: Sequence[Any], *, undetected: Tag) -> None:
        self._messages = messages
        self._undetected = Detected(undetected, certain=False)
        parts = [*messages, *(() if system is None else (system,))]
        self._texts: list[str | None] = [text_of(part) for part in parts]
        self._texts += [canonical(schema_of(tool)).decode("utf-8", "surrogatepass") for tool in tools]

    @property
    def texts(self) -> list[str]:
        """Return what detectors are to look at."""
        return [text for text in self._texts if text is not None]

    def found(self, detected: Sequence[Detected]) -> Found:
        """Return what was found, of what was detected in each of `texts`."""
        each = iter(detected)
        told = [self._undetected if text is None else next(each) for text in self._texts]
        head = join(*(one.tag for one in told[len(self._messages) :]))
        return Found(
            {id(message): one.tag for message, one in zip(self._messages, told, strict=False) if one.tag != PUBLIC},
            None if head == PUBLIC else head,
            certain=all(one.certain for one in told),
        )


def text_of(message: BaseMessage) -> str | None:
    """Return all that a model reads of a message as text, one piece a line. Not what is encoded.

    That is content, arguments of calls, a name, and what clients send of what stands beside.

    `None` for what is too deep to be read.
    """
    calls = (*message.tool_calls, *message.invalid_tool_calls) if isinstance(message, AIMessage) else ()
    try:
        return "\n".join(
            [
                *_texts(message.name),
                *_texts_of_content(message.content),
                *(text for call in calls for text in _texts(call["args"])),
                *(text for key in _BESIDE if key in message.additional_kwargs for text in _texts(message.additional_kwargs[key])),
            ]
        )
    except RecursionError:
        return None


def _texts_of_content(content: object) -> Iterator[str]:
    for block in cast("Sequence[object]", content) if isinstance(content, list | tuple) else (content,):
        if not is_block(block):
            yield from _texts(block)
            continue
        for key, value in block.items():
            if key in UNREAD or (key in _ENCODED and _is_encoded(block)) or _is_data_url(key, value):
                continue
            # A block may hold blocks: a result its contents, a document its source.
            yield from _texts_of_content(value) if key in _NESTING else _texts(value)


def _texts(value: object) -> Iterator[str]:
    """Yield all texts and numbers in `value`, with the names under which they stand."""
    if isinstance(value, str):
        yield value
    elif is_block(value):
        for key, inner in value.items():
            yield str(key)
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in cast("Sequence[object]", value):
            yield from _texts(inner)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


_BESIDE: Final = ("name", "function_call", "tool_calls", "refusal", "reasoning_content")
"""Keys of `additional_kwargs` of which clients make a part of what they send. Of audio, that is an id."""

_NESTING: Final = frozenset({"content", "output", "source"})
"""Keys of a block under which there are blocks."""

_ENCODED: Final = frozenset({"b64_json", "base64", "data", "file_data"})
"""Keys of a block under which there are bytes, unless it says that they are text."""


def _is_encoded(block: Mapping[Any, Any]) -> bool:
    kind = block.get("mime_type") or block.get("media_type") or block.get("type")
    return not (isinstance(kind, str) and kind.startswith("text"))


def _is_data_url(key: object, value: object) -> bool:
    """Whether it is a picture or a file in an address; nothing that a human could type as a text of its own is."""
    url: object = value.get("url") if is_block(value) else value
    return key in {"image_url", "url", "file_url"} and isinstance(url, str) and _DATA_URL.match(url) is not None


_DATA_URL: Final = re.compile(r"data:[\w/+.-]+;base64,")
