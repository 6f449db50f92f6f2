"""Passing a stream on: holding back what has no content, stamping the last item, keeping the whole answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.language_models.chat_model_stream import ChatModelStream
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import add_ai_message_chunks
from langchain_core.runnables.utils import AddableDict

from session_router_langchain.authors import STAMP
from session_router_langchain.outcomes import stamp_of, stamped
from session_router_langchain.tagging import label_fields

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from session_router_langchain.passage import Passed
    from session_router_langchain.witness import AnswerWitness

_EMPTY_KEYS = frozenset({"type", "index", "id"})
"""Keys of a content block that say nothing to a user."""


class MessageRelay:
    """Passes one model's stream of chunks on.

    The empty chunks with which providers begin are held back until there is content: were they passed on and the
    stream then broke, the next model's chunks would be merged with them into one message. The last chunk is held
    back until it is known who answered. It alone is stamped: metadata of several chunks is merged by concatenation.

    Attributes:
        delivered: Whether anything has been passed on.
        complete: Whether the last chunk is there.
    """

    def __init__(self) -> None:
        self._held: list[AIMessageChunk] = []
        self._all: list[AIMessageChunk] = []
        self.complete = False
        self.delivered = False

    def pass_on(self, chunk: AIMessageChunk, /) -> Iterator[AIMessageChunk]:
        """Take one chunk; yield what may go out now."""
        self._all.append(chunk)
        self._held.append(chunk)
        self.complete = self.complete or chunk.chunk_position == "last"
        if not self.complete and (self.delivered or _has_content(chunk)):
            self.delivered = True
            ready, self._held = self._held, []
            yield from ready

    def answer(self) -> AIMessageChunk | None:
        """Return the whole answer."""
        return add_ai_message_chunks(self._all[0], *self._all[1:]) if self._all else None

    def ending(self, passed: Passed[None]) -> Iterator[AIMessageChunk]:
        """Yield the end of the answer."""
        if not self.complete and self._all:
            # Without an end a reader could not tell the answer from one that was cut off.
            empty: Any = "" if isinstance(self._all[-1].content, str) else []
            self._held.append(AIMessageChunk(content=empty, id=self._all[-1].id, chunk_position="last"))
        if self._held:
            yield from self._held[:-1]
            yield stamped(self._held[-1], passed.decision, passed.outcome.model, passed.beside)


class EventRelay:
    """Passes one model's events of version v3 on, in the way of `MessageRelay`.

    Attributes:
        delivered: Whether anything has been passed on.
        complete: Never: whoever has the last event reads no further, and the model's run must end before.
    """

    complete = False

    def __init__(self) -> None:
        self._held: list[Mapping[str, Any]] = []
        self._assembled = ChatModelStream()
        self.delivered = False

    def pass_on(self, event: Mapping[str, Any], /) -> Iterator[Mapping[str, Any]]:
        """Take one event; yield what may go out now."""
        self._assembled.dispatch(event)
        self._held.append(event)
        content = event["event"] in {"content-block-delta", "content-block-finish"}
        if not self._assembled.done and (self.delivered or content):
            self.delivered = True
            ready, self._held = self._held, []
            yield from ready

    def answer(self) -> AIMessage | None:
        """Return the whole answer."""
        return self._assembled.output_message

    def ending(self, passed: Passed[None]) -> Iterator[Mapping[str, Any]]:
        """Yield the end of the answer."""
        for event in self._held:
            if event["event"] == "message-finish":
                mark = {STAMP: stamp_of(passed.decision, passed.outcome.model)}
                finish: dict[str, Any] = {**event, "metadata": {**(event.get("metadata") or {}), **mark}}
                if said := {**(label_fields(passed.decision.tag) or {}), **passed.beside}:
                    finish["additional_kwargs"] = {**(event.get("additional_kwargs") or {}), **said}
                yield finish
            else:
                yield event


class ValueRelay:
    """Passes parsed values on, and the raw message beside them where it is asked for.

    Args:
        witness: Sees the message behind the values.

    Attributes:
        delivered: Whether anything has been passed on.
        complete: Never: what ends the values is their end.
    """

    complete = False

    def __init__(self, witness: AnswerWitness) -> None:
        self._witness = witness
        self._raw: MessageRelay | None = None
        self.delivered = False

    def pass_on(self, item: Any, /) -> Iterator[Any]:  # noqa: ANN401 -- the schema's values
        """Take one value; yield what may go out now."""
        if isinstance(item, dict) and isinstance(raw := item.get("raw"), AIMessage):  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] -- the schema's values
            self._raw = self._raw or MessageRelay()
            for chunk in self._raw.pass_on(as_chunk(raw)):
                self.delivered = True
                yield AddableDict(raw=chunk)
            return
        self.delivered = True
        yield item

    def answer(self) -> AIMessage | None:
        """Return the message behind the values."""
        return self._witness.answer

    def ending(self, passed: Passed[None]) -> Iterator[Any]:
        """Yield the end of the raw message."""
        for chunk in self._raw.ending(passed) if self._raw is not None else ():
            yield AddableDict(raw=chunk)


def as_chunk(message: AIMessage) -> AIMessageChunk:
    """Return a whole message, which a model without streaming yields, as the only chunk of a stream."""
    if isinstance(message, AIMessageChunk):
        return message
    fields: dict[str, Any] = {name: getattr(message, name) for name in AIMessage.model_fields if name != "type"}
    return AIMessageChunk(**fields, chunk_position="last")


def _has_content(chunk: AIMessageChunk) -> bool:
    if chunk.tool_call_chunks or chunk.additional_kwargs:
        return True
    if isinstance(chunk.content, str):
        return bool(chunk.content)
    return any(_says_something(block) for block in chunk.content)


def _says_something(block: str | dict[Any, Any]) -> bool:
    if isinstance(block, str):
        return bool(block)
    return any(value for key, value in block.items() if key not in _EMPTY_KEYS)
