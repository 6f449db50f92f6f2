"""Sees the answer of a call that somebody else runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, BaseMessage

if TYPE_CHECKING:
    from langchain_core.outputs import LLMResult


def answer_in(result: LLMResult) -> AIMessage | None:
    """Return the message in a callback's result."""
    if not result.generations or not result.generations[0]:
        return None
    message = getattr(result.generations[0][0], "message", None)
    return message if isinstance(message, AIMessage) else None


class Untouched(BaseCallbackHandler):
    """Sees whether others who are told of answers change these in place. It is to be told first."""

    run_inline = True

    def __init__(self) -> None:
        super().__init__()
        self._told: list[tuple[object, object]] = []

    @property
    def untouched(self) -> bool:
        """Whether everything that was told still says what it said then."""
        return all(_said_by(one) == said for one, said in self._told)

    def saw(self, one: object) -> None:
        """Remember what something says: a message, or a part of an event."""
        self._told.append((one, _said_by(one)))

    def on_llm_new_token(self, token: Any, *, chunk: Any = None, **_: Any) -> None:  # noqa: ANN401, ARG002 -- as in LangChain
        """See a piece of an answer."""
        self.saw(getattr(chunk, "message", None))

    def on_stream_event(self, event: Any, **_: Any) -> None:  # noqa: ANN401 -- as in LangChain
        """See an event of the newer streaming protocol."""
        for part in ("delta", "content"):
            self.saw(event.get(part) if isinstance(event, dict) else None)  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType] -- callbacks come untyped

    def on_llm_end(self, response: Any, **_: Any) -> None:  # noqa: ANN401 -- as in LangChain
        """See a whole answer."""
        self.saw(answer_in(response))


def _said_by(one: object) -> object:
    if isinstance(one, BaseMessage):
        return one.content if isinstance(one.content, str) else str(one.text)
    return dict(cast("dict[object, object]", one)) if isinstance(one, dict) else None


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
