"""On which terms a stored answer may stand for a new one: what only LangChain's side of a call knows."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from langchain_core.messages import HumanMessage

from session_router.core.cache_terms import CacheTerms
from session_router.core.step import DIGEST_BYTES
from session_router.core.transcript import EMPTY_DIGEST
from session_router_langchain.fingerprints import canonical
from session_router_langchain.vocabulary import is_block

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.messages import BaseMessage

    from session_router.core.model import ModelName
    from session_router.core.transcript import Transcript
    from session_router.identity import SessionNames
    from session_router_langchain.messages import HeadReader
    from session_router_langchain.models import ChatModels

_SEVERAL = ("n", "logprobs", "top_logprobs")
"""Settings that ask for more than one text."""


def terms_of(  # noqa: PLR0913 -- each is one thing that must be equal
    messages: Sequence[BaseMessage],
    transcript: Transcript,
    *,
    heads: HeadReader,
    models: ChatModels,
    names: SessionNames,
    system: BaseMessage | None = None,
    tools: Sequence[Any] = (),
    tool_choice: object = None,
    settings: Mapping[str, Any],
) -> CacheTerms | None:
    """Return the terms of a call; `None` where no stored answer may stand for its answer.

    That is so unless the request ends with a text that a human typed, in a conversation in which no tool has answered: what a
    tool said would be part of the answer.
    """
    question = last_question(messages, transcript)
    if question is None or any(settings.get(name) not in {None, False, 1} for name in _SEVERAL):
        return None
    prompt, bound = heads.read(system, ()), heads.read(None, tools)
    return CacheTerms(
        text=question.text,
        before=question.before,
        system=EMPTY_DIGEST if prompt is None else prompt.digest,
        tools=digest(EMPTY_DIGEST if bound is None else bound.digest, tool_choice),
        settings=digest(_set_up(models), dict(settings)),
        principal=names.principal,
        tenant=names.tenant,
    )


class LastQuestion(NamedTuple):
    """What is asked last: its text, and a digest of everything before it."""

    text: str
    before: bytes


def last_question(messages: Sequence[BaseMessage], transcript: Transcript) -> LastQuestion | None:
    """Return what `messages` ask last; `None` where no stored answer may stand for the answer.

    Args:
        messages: The history.
        transcript: What reading it gave.
    """
    last = messages[-1] if messages else None
    if transcript.tool_results or not transcript.typed or transcript.typed[-1] != len(transcript.steps) - 1:
        return None
    if not isinstance(last, HumanMessage) or (text := plain_text(last)) is None:
        return None
    before = transcript.prefixes[-2].digest if len(transcript.steps) > 1 else EMPTY_DIGEST
    return LastQuestion(text, digest(before, last.name))


def plain_text(message: BaseMessage) -> str | None:
    """Return the text of a message that is nothing else; an image beside it is part of the question."""
    content: object = message.content
    if isinstance(content, str):
        return content
    blocks = cast("list[object]", content) if isinstance(content, list) else [None]  # pyright: ignore[reportUnnecessaryIsInstance] -- it may have been set in place
    texts = [block if isinstance(block, str) else _text_of(block) for block in blocks]
    return None if None in texts else "".join(cast("list[str]", texts))


def _text_of(block: object) -> str | None:
    text: object = block.get("text") if is_block(block) and block.get("type") == "text" else None
    return text if isinstance(text, str) else None


def _set_up(models: ChatModels) -> bytes:
    """Return a digest of what the routes are set up with: a temperature may stand in the chat model itself."""
    specs = models.specs
    return digest(b"", [[name, _parameters(models[name], name)] for name in sorted(specs)])


def _parameters(model: Any, name: ModelName) -> object:  # noqa: ANN401 -- a chat model, or whatever a test puts in its place
    try:
        return model._get_ls_params()  # noqa: SLF001 -- has no public name
    except Exception:  # noqa: BLE001 -- then its name must do
        return name


def digest(before: bytes, value: object) -> bytes:
    """Return a digest of `value` and of what was digested before it."""
    return hashlib.blake2b(before + canonical(value), digest_size=DIGEST_BYTES).digest()
