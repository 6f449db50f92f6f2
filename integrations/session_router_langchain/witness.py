"""Sees the answer of a call that somebody else runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage

if TYPE_CHECKING:
    from langchain_core.outputs import LLMResult


def answer_in(result: LLMResult) -> AIMessage | None:
    """Return the message in a callback's result."""
    if not result.generations or not result.generations[0]:
        return None
    message = getattr(result.generations[0][0], "message", None)
    return message if isinstance(message, AIMessage) else None


class AnswerWitness(BaseCallbackHandler):
    """Keeps the last answer that it sees.

    Attributes:
        answer: The answer; `None` before there is one.
    """

    run_inline = True

    def __init__(self) -> None:
        super().__init__()
        self.answer: AIMessage | None = None

    def on_llm_end(self, response: LLMResult, **_: Any) -> None:  # noqa: ANN401 -- as in LangChain
        """See the answer."""
        self.answer = answer_in(response) or self.answer
