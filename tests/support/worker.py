"""A chat model that works with tools until it has had so many results."""

# ruff: noqa: ARG002 -- signatures of the base class

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.messages import BaseMessage

_CALLS = itertools.count()


class Worker(BaseChatModel):
    """Calls the tool `work` until so many results stand at the end of the history.

    Args:
        name: Under which it answers.
        results: Before it is done.
    """

    name: str
    results: int = 2

    @property
    def _llm_type(self) -> str:
        return "worker"

    def bind_tools(self, tools: Any, **_: Any) -> Worker:
        return self

    def _generate(self, messages: Sequence[BaseMessage], stop: Any = None, run_manager: Any = None, **_: Any) -> ChatResult:
        metadata = {"model_name": self.name, "finish_reason": "stop"}
        last = max((at for at, one in enumerate(messages) if one.type == "human"), default=-1)
        if sum(isinstance(one, ToolMessage) for one in messages[last + 1 :]) >= self.results:
            return ChatResult(generations=[ChatGeneration(message=AIMessage("Done.", response_metadata=metadata))])
        call = {"name": "work", "args": {}, "id": f"call_{next(_CALLS)}", "type": "tool_call"}
        return ChatResult(generations=[ChatGeneration(message=AIMessage("", tool_calls=[call], response_metadata=metadata))])
