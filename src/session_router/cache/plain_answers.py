"""Answers and tags as plain values, and back."""

from __future__ import annotations

from math import inf, isfinite
from typing import Any, Final, cast

from session_router.core.cached import CachedAnswer, portable, unreplayable
from session_router.core.governance import PUBLIC, Integrity, Level, Tag
from session_router.core.model import ModelName
from session_router.core.pricing import USD, Usage

_SETS: Final = ("categories", "tenants", "subjects")
_RESTRICTIONS: Final = ("regions", "purposes")
_PLAIN_PUBLIC: Final = {"level": 0}
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
        ValueError: It is something else, as are `KeyError`, `TypeError` and `ConfigurationError`.
    """
    content, reason, expires = plain["content"], plain["finish_reason"], plain["expires_at"]
    answer = CachedAnswer(
        content=content if isinstance(content, str) else tuple(content),
        model=ModelName(_text(plain["model"])),
        at=finite(plain["at"]),
        tag=tag_from_plain(plain["tag"]),
        usage=Usage(**{name: int(count) for name, count in zip(_COUNTS, plain["usage"], strict=True)}),
        cost=USD(finite(plain["cost"])),
        seconds=finite(plain["seconds"]),
        finish_reason=None if reason is None else _text(reason),
        expires_at=None if expires is None else finite(expires),
    )
    if unreplayable(answer) is not None:
        raise ValueError
    return answer


def tag_to_plain(tag: Tag) -> dict[str, Any]:
    """Return JSON-ready values: what is not its default."""
    plain: dict[str, Any] = {"level": int(tag.level)}
    plain |= {name: sorted(getattr(tag, name)) for name in _SETS if getattr(tag, name)}
    plain |= {name: sorted(getattr(tag, name)) for name in _RESTRICTIONS if getattr(tag, name) is not None}
    plain |= {name: True for name in ("no_train", "zero_retention") if getattr(tag, name)}
    if tag.integrity is not Integrity.TRUSTED:
        plain["integrity"] = tag.integrity.value
    if tag.expires_at is not None and tag.expires_at != inf:
        # JSON has no infinities; what has passed at all times has passed at 0 as well.
        plain["expires_at"] = 0.0 if tag.expires_at == -inf else tag.expires_at
    return plain


def tag_from_plain(plain: dict[str, Any]) -> Tag:
    """Read back what `tag_to_plain` wrote.

    Raises:
        ValueError: It is something else, as are `KeyError`, `TypeError` and `ConfigurationError`.
    """
    if plain == _PLAIN_PUBLIC:
        return PUBLIC
    fields: dict[str, Any] = {"level": Level(plain["level"]), "integrity": Integrity(plain.get("integrity", "trusted"))}
    fields |= {name: frozenset(map(_text, plain[name])) for name in (*_SETS, *_RESTRICTIONS) if name in plain}
    fields |= {name: plain[name] is True for name in ("no_train", "zero_retention") if name in plain}
    if "expires_at" in plain:
        fields["expires_at"] = finite(plain["expires_at"])
    return Tag(**fields)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def finite(value: object) -> float:
    """Return `value` if it is a finite number.

    Raises:
        ValueError: It is not.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise ValueError
    return cast("float", value)
