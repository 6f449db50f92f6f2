"""What models that complete a text have said: kept exactly as it came, and given back as it was kept."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, cast

from langchain_core.outputs import Generation, GenerationChunk

from session_router.cache.unfit_answers import cut_off, refusal
from session_router.core.cached import CachedAnswer
from session_router.core.model import ModelName
from session_router_langchain.vocabulary import is_block

if TYPE_CHECKING:
    from collections.abc import Sequence

_WHOLE: Final = "stop"
_NOBODY: Final = ModelName("completion")
"""Completions do not say who wrote them."""


def completions_answer(generations: Sequence[Generation], *, asked_at: float, at: float) -> CachedAnswer | None:
    """Return what a cache may keep of completions: each text, and what its model said of it.

    LangChain hands over what a model has returned as a whole. Where the model says why it ended, it is held to that.

    Args:
        generations: What the model said; of the plain kind.
        asked_at: POSIX seconds of the question.
        at: POSIX seconds at which it was there.

    Returns:
        The answer: a block for each text, and a last one for the rest. `None` for what could not be given back as it is, and where one
        of the texts is no answer.
    """
    if not generations or any(type(one) not in {Generation, GenerationChunk} for one in generations):
        return None
    said = [one.generation_info for one in generations]
    try:
        written = json.dumps(said)
        same = json.loads(written) == said
    except (ValueError, TypeError, RecursionError):
        return None
    if not same or any(refusal(one.text) for one in generations):
        return None
    return CachedAnswer(
        content=tuple({"type": "text", "text": text} for text in (*(one.text for one in generations), written)),
        model=_NOBODY,
        at=at,
        seconds=max(0.0, at - asked_at),
        finish_reason=_ending([str(info["finish_reason"]) for info in said if info and info.get("finish_reason") is not None]),
    )


def _ending(said: Sequence[str]) -> str:
    """Of what is said of several endings, return the worst."""
    return next(filter(cut_off, said), _WHOLE)


def completions_in(answer: CachedAnswer) -> list[Generation] | None:
    """Return what `completions_answer` kept; `None` when it is something else."""
    if isinstance(answer.content, str) or not answer.content:
        return None
    *texts, written = (str(block["text"]) for block in answer.content)
    try:
        said: object = json.loads(written)
    except (ValueError, RecursionError):
        return None
    infos = cast("list[object]", said) if isinstance(said, list) else []
    if len(infos) != len(texts) or not all(info is None or is_block(info) for info in infos):
        return None
    return [Generation(text=text, generation_info=cast("dict[str, Any] | None", info)) for text, info in zip(texts, infos, strict=True)]
