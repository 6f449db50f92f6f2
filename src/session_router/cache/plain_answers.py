"""Answers as plain values, and back."""

from __future__ import annotations

from math import isfinite
from typing import Any, Final, cast

from session_router.core.cached import CachedAnswer, portable, unreplayable
from session_router.core.label_row import tag_from_plain, tag_to_plain
from session_router.core.model import ModelName
from session_router.core.plain import text_in
from session_router.core.pricing import USD, Usage

_COUNTS: Final = ("input", "cached", "written", "output")


def answer_to_plain(answer: CachedAnswer) -> dict[str, Any]:
    """Return JSON-ready values of an answer that may be replayed; what belongs to its message is left out."""
    content = portable(answer.content)
    return {
        "content": content if isinstance(content, str) else [dict(block) for block in content],
        "model": str(answer.model),
        "at": answer.at,
        "tag": tag_to_plain(answer.tag),
        "usage": [getattr(answer.usage, name) for name in _COUNTS],
        "cost": answer.cost,
        "seconds": answer.seconds,
        "finish_reason": answer.finish_reason,
        "expires_at": answer.expires_at,
    }


def answer_from_plain(plain: dict[str, Any]) -> CachedAnswer:
    """Read back what `answer_to_plain` wrote.

    Raises:
        ValueError: It is something else, as are `KeyError`, `TypeError`, `ConfigurationError` and `UnreadableLabel`.
    """
    content, reason, expires = plain["content"], plain["finish_reason"], plain["expires_at"]
    answer = CachedAnswer(
        content=content if isinstance(content, str) else tuple(content),
        model=ModelName(text_in(plain["model"])),
        at=finite(plain["at"]),
        tag=tag_from_plain(plain["tag"]),
        usage=Usage(**{name: int(count) for name, count in zip(_COUNTS, plain["usage"], strict=True)}),
        cost=USD(finite(plain["cost"])),
        seconds=finite(plain["seconds"]),
        finish_reason=None if reason is None else text_in(reason),
        expires_at=None if expires is None else finite(expires),
    )
    if unreplayable(answer) is not None:
        raise ValueError
    return answer


def finite(value: object) -> float:
    """Return `value` if it is a finite number.

    Raises:
        ValueError: It is not.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise ValueError
    return cast("float", value)
