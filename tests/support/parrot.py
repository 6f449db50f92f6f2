"""A chat model that says what it was given to say."""

# ruff: noqa: ARG002 -- signatures of the base class

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

if TYPE_CHECKING:
    from collections.abc import Iterator


class Parrot(BaseChatModel):
    """Says what it was given to say, with whatever belongs to it."""

    said: dict[str, Any]

    @property
    def _llm_type(self) -> str:
        return "parrot"

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **_: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage(**{"response_metadata": {"finish_reason": "stop"}, **self.said}))])

    def _stream(self, messages: Any, stop: Any = None, run_manager: Any = None, **_: Any) -> Iterator[ChatGenerationChunk]:
        said = {"response_metadata": {"finish_reason": "stop"}, **self.said}
        yield ChatGenerationChunk(message=AIMessageChunk(**said, chunk_position="last"))
