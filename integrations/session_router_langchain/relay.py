"""Passing a stream on: holding back what has no content, stamping the last chunk, keeping the whole answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import add_ai_message_chunks

from session_router_langchain.outcomes import answerer_of, stamped
from session_router_langchain.passage import Answered

if TYPE_CHECKING:
    from collections.abc import Iterator

    from session_router.core.decision import Decision
    from session_router.router import Router


class MessageRelay:
    """Passes one model's stream of chunks on.

    The empty chunks with which providers begin are held back until there is content: were they passed on and the
    stream then broke, the next model's chunks would be merged with them into one message.

    Attributes:
        delivered: Whether anything has been passed on.
    """

    def __init__(self, decision: Decision, router: Router) -> None:
        self._decision = decision
        self._router = router
        self._held: list[AIMessageChunk] = []
        self._all: list[AIMessageChunk] = []
        self.delivered = False

    def pass_on(self, chunk: AIMessage) -> Iterator[AIMessageChunk]:
        """Take one chunk; yield what may go out now."""
        # A model without streaming yields its whole answer as an ordinary message.
        piece = chunk if isinstance(chunk, AIMessageChunk) else _as_chunk(chunk)
        self._all.append(piece)
        if piece.chunk_position == "last":
            # Once, on the last chunk only: metadata of several chunks is merged by concatenation.
            whole = self._whole()
            answerer = answerer_of(whole or piece, self._decision, self._router.models)
            piece = stamped(piece, self._decision, answerer)
        self._held.append(piece)
        if self.delivered or _has_content(piece) or piece.chunk_position == "last":
            yield from self.rest()

    def rest(self) -> Iterator[AIMessageChunk]:
        """Yield what is held back."""
        while self._held:
            self.delivered = True
            yield self._held.pop(0)

    def answered(self) -> Answered[None]:
        """Return the end of the stream."""
        return Answered(None, self._whole())

    def _whole(self) -> AIMessageChunk | None:
        return add_ai_message_chunks(self._all[0], *self._all[1:]) if self._all else None


def _has_content(chunk: AIMessageChunk) -> bool:
    return bool(chunk.content) or bool(chunk.tool_call_chunks) or bool(chunk.additional_kwargs)


def _as_chunk(message: AIMessage) -> AIMessageChunk:
    fields: dict[str, Any] = {name: getattr(message, name) for name in AIMessage.model_fields if name != "type"}
    return AIMessageChunk(**fields, chunk_position="last")


class ValueRelay:
    """Passes parsed values on; the message behind them is not seen.

    Attributes:
        delivered: Whether anything has been passed on.
    """

    def __init__(self) -> None:
        self.delivered = False

    def pass_on(self, item: Any) -> Iterator[Any]:  # noqa: ANN401 -- the schema's values
        """Pass `item` on."""
        self.delivered = True
        yield item

    def rest(self) -> Iterator[Any]:
        """Nothing is held back."""
        return iter(())

    def answered(self) -> Answered[None]:
        """Return the end of the stream."""
        return Answered(None, None)
