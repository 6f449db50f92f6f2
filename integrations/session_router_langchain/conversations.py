"""What of a history may be shown to a rewriter: texts that humans and a model have exchanged, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from session_router.core.rewritten import Conversation
from session_router.core.step import Role
from session_router.core.transcript import EMPTY_DIGEST
from session_router_langchain.blocks import asks_of
from session_router_langchain.exact import digest
from session_router_langchain.stored_answers import said_in
from session_router_langchain.terms import name_of, plain_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.messages import BaseMessage

    from session_router.core.transcript import Transcript
    from session_router_langchain.exact import ExactReader


def conversation_of(messages: Sequence[BaseMessage], transcript: Transcript, exact: ExactReader) -> Conversation | None:
    """Return what a rewriter may see of `messages`, which end with a question.

    Returns:
        `None` where nothing was said before, and where something is no plain text, was typed by nobody, asks for a tool, was said by
        one, or rests on what a provider has searched for.
    """
    if transcript.tool_results or any(step.injected or step.answers for step in transcript.steps):
        return None
    said: list[tuple[str, str]] = []
    standing: list[BaseMessage] = []
    speakers: list[object] = []
    for message, step in zip(messages, transcript.steps, strict=True):
        if isinstance(message, SystemMessage):
            standing.append(message)
            continue
        text = _spoken(message)
        if text is None:
            return None
        said.append((step.role.value, text))
        if step.role is Role.HUMAN:
            speakers.append(name_of(message))
    if len(said) < 2:  # noqa: PLR2004 -- nothing was said before the question
        return None
    before = exact.messages(standing) if standing else EMPTY_DIGEST
    return Conversation(said=tuple(said), standing=digest(before, speakers if any(speakers) else []))


def _spoken(message: BaseMessage) -> str | None:
    """Return what a human or a model said in plain text; `None` for anything else."""
    if isinstance(message, HumanMessage):
        return plain_text(message)
    return None if not isinstance(message, AIMessage) or asks_of(message) else said_in(message)
