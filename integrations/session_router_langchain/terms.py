"""On which terms a stored answer may stand for a new one: what only LangChain's side of a call knows."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

from langchain_core.messages import HumanMessage

from session_router.core.cache_terms import CacheTerms
from session_router.core.transcript import EMPTY_DIGEST
from session_router_langchain.cache_markers import MARKER
from session_router_langchain.exact import Untold, digest
from session_router_langchain.messages import typed_texts
from session_router_langchain.set_ups import set_up_of
from session_router_langchain.vocabulary import is_block

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from langchain_core.messages import BaseMessage

    from session_router.core.model import ModelName
    from session_router.core.transcript import Transcript
    from session_router.identity import SessionNames
    from session_router_langchain.exact import ExactReader
    from session_router_langchain.models import ChatModels

Value = TypeVar("Value")

NOTHING_BOUND: Mapping[str, Any] = MappingProxyType({})
"""No options for the chosen model's `bind_tools`."""

_SEVERAL = ("n", "logprobs", "top_logprobs")
"""Settings that ask for more than one text."""

_OF_TEXTS = frozenset({"type", "text", "id", "index", MARKER})
"""Keys of a block that is a text and nothing else."""


def terms_of(  # noqa: PLR0913 -- each is one thing that must be equal
    messages: Sequence[BaseMessage],
    transcript: Transcript,
    *,
    exact: ExactReader,
    models: ChatModels,
    names: SessionNames,
    system: BaseMessage | None = None,
    tools: Sequence[Any] = (),
    tool_choice: object = None,
    settings: Mapping[str, Any],
    bound: Mapping[str, Any] = NOTHING_BOUND,
) -> CacheTerms | None:
    """Return the terms of a call; `None` where no stored answer may stand for its answer.

    That is so unless the request ends with a text that a human typed, in a conversation in which no tool has answered: what a
    tool said would be part of the answer. Where something of the request or of the routes cannot be told, the terms say what.
    """
    if any(options.get(name) not in {None, False, 1} for options in (settings, bound) for name in _SEVERAL):
        return None
    if (text := _question_in(messages, transcript)) is None:
        return None
    recent = typed_texts(messages, transcript)[:-1]
    try:
        set_up = _set_up(models)
        return CacheTerms(
            text=text,
            before=_of("a message", lambda: _before_last(messages, exact)),
            system=_of("the system prompt", lambda: EMPTY_DIGEST if system is None else exact.message(system)),
            tools=_of("a tool or the tool choice", lambda: digest(exact.tools(tools), tool_choice)),
            settings=_of("a setting", lambda: digest(set_up, [dict(settings), dict(bound)])),
            principal=names.principal,
            tenant=names.tenant,
            recent=recent,
        )
    except Untold as untold:
        return CacheTerms(text=text, before=b"", system=b"", tools=b"", settings=b"", untold=str(untold))


class LastQuestion(NamedTuple):
    """What is asked last: its text, a digest of everything before it, and what was asked in the turns before."""

    text: str
    before: bytes
    recent: tuple[str, ...] = ()


def last_question(messages: Sequence[BaseMessage], transcript: Transcript, exact: ExactReader) -> LastQuestion | None:
    """Return what `messages` ask last; `None` where no stored answer may stand for the answer, or something before cannot be told.

    Args:
        messages: The history.
        transcript: What reading it gave.
        exact: Digests it.
    """
    text = _question_in(messages, transcript)
    try:
        return None if text is None else LastQuestion(text, _before_last(messages, exact), typed_texts(messages, transcript)[:-1])
    except Untold:
        return None


def _question_in(messages: Sequence[BaseMessage], transcript: Transcript) -> str | None:
    last = messages[-1] if messages else None
    if transcript.tool_results or not transcript.typed or transcript.typed[-1] != len(transcript.steps) - 1:
        return None
    return plain_text(last) if isinstance(last, HumanMessage) else None


def _before_last(messages: Sequence[BaseMessage], exact: ExactReader) -> bytes:
    return digest(exact.messages(messages[:-1]), name_of(messages[-1]))


def name_of(message: BaseMessage) -> object:
    """Return the name that a client sends with a message; it may stand in either place."""
    return message.name or message.additional_kwargs.get("name")


def plain_text(message: BaseMessage) -> str | None:
    """Return the text of a message that is nothing else; an image beside it is part of the question."""
    content: object = message.content
    if isinstance(content, str):
        return content
    blocks = cast("list[object]", content) if isinstance(content, list) else [None]  # pyright: ignore[reportUnnecessaryIsInstance] -- it may have been set in place
    texts = [block if isinstance(block, str) else _text_of(block) for block in blocks]
    return None if None in texts else "".join(cast("list[str]", texts))


def _text_of(block: object) -> str | None:
    text: object = block.get("text") if is_block(block) and block.get("type") == "text" and block.keys() <= _OF_TEXTS else None
    return text if isinstance(text, str) else None


def _set_up(models: ChatModels) -> bytes:
    """Return a digest of what the routes are set up with: a temperature may stand in the chat model itself."""
    specs = models.specs

    def told_of(name: ModelName) -> bytes:
        return _of(f"the route `{name}`", lambda: digest(b"", [name, set_up_of(models[name], specs[name].account)]))

    return b"".join(map(told_of, sorted(specs)))


def _of(what: str, telling: Callable[[], Value]) -> Value:
    try:
        return telling()
    except Exception as error:
        # Whatever a foreign object does when it is looked at: an answer that cannot be kept is no reason to give none.
        why = f"{what} ({error if isinstance(error, Untold) else type(error).__name__})"
        raise Untold(why) from error
