"""What providers may still hold of a session: under which label, until when, and by which ids it can be referred to."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from session_router.core.checking import LARGEST_COUNT
from session_router.core.governance import PUBLIC, join

if TYPE_CHECKING:
    from collections.abc import Iterable

    from session_router.core.governance import Clearance, Tag
    from session_router.core.model import ModelName

MOST_EXPOSURES = 16
"""Of one session. Beyond, the two oldest of a model become one, under the join of their labels."""

MOST_IDS = 32
"""Of one exposure; the oldest are forgotten. What is forgotten has no label, and may go nowhere."""

_ID_BYTES = 8


class Held(NamedTuple):
    """An id by which a request refers to what its provider keeps.

    Attributes:
        id: Digest of the provider's id (`id_of`).
        grows: Whether what is sent is kept under the same id: a conversation and a container grow, a response does not.
    """

    id: str
    grows: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """What the provider of one model may hold of a session.

    Attributes:
        model: Whose provider.
        tag: Label of what it was sent.
        until: POSIX seconds at which its retention ends, prompt cache included; `None` for not known.
        ids: Digests of the ids under which it keeps it, oldest first.
    """

    model: ModelName
    tag: Tag
    until: float | None
    ids: tuple[str, ...] = ()

    def is_over(self, now: float) -> bool:
        """Whether nothing is held any more. A clock that gives no time ends nothing."""
        return self.until is not None and now >= self.until

    def to_plain(self) -> dict[str, Any]:
        """Return JSON-ready values for a person to read."""
        return {"model": self.model, "tag": self.tag.describe(), "until": self.until}


def id_of(provider_id: str) -> str:
    """Return what stands for a provider's id: 16 hex digits."""
    return hashlib.blake2b(provider_id.encode("utf-8", "surrogatepass"), digest_size=_ID_BYTES).hexdigest()


def exposed(
    exposures: Iterable[Exposure],
    *,
    model: ModelName,
    tag: Tag,
    clearance: Clearance | None,
    now: float,
    held: Iterable[Held] = (),
) -> tuple[Exposure, ...]:
    """Return the exposures of a session after something was sent; those that are over are left out.

    Args:
        exposures: Those before.
        model: To whom it was sent.
        tag: Its label.
        clearance: Says how long it is kept there; `None` for not known.
        now: POSIX seconds.
        held: What the request refers to.
    """
    left = [one for one in exposures if not one.is_over(now)]
    retention = None if clearance is None else clearance.retention_seconds
    if retention == 0:
        return tuple(left)
    until = None if retention is None or now + retention > LARGEST_COUNT else now + retention
    before = next((one for one in left if one.model == model and one.tag == tag), None)
    ids = () if before is None else before.ids
    if before is not None:
        left.remove(before)
        until = None if until is None or before.until is None else max(until, before.until)
    grown = [one.id for one in held if one.grows and one.id not in ids]
    return _bounded([*left, Exposure(model=model, tag=tag, until=until, ids=(*ids, *grown)[-MOST_IDS:])])


def kept_as(exposures: tuple[Exposure, ...], ids: Iterable[str], *, model: ModelName, tag: Tag, sent: bool) -> tuple[Exposure, ...]:
    """Return the exposures after a provider said under which ids it keeps what was sent.

    Args:
        exposures: Those before.
        ids: Digests of the ids.
        model: Who answered.
        tag: The label of what was sent.
        sent: Whether `model` is the one that it was sent to: of another one nobody knows how long it keeps what it was sent.
    """
    new = tuple(ids)
    if not new:
        return exposures
    found = next((one for one in exposures if one.model == model and one.tag == tag), None)
    if found is None:
        # Who keeps nothing has nothing to refer to.
        return exposures if sent else _bounded([*exposures, Exposure(model=model, tag=tag, until=None, ids=new)])
    known = tuple(one for one in found.ids if one not in new)
    changed = replace(found, ids=(*known, *new)[-MOST_IDS:])
    return tuple(changed if one is found else one for one in exposures)


def left_elsewhere(exposures: Iterable[Exposure], *, model: ModelName | None, now: float) -> tuple[Exposure, ...]:
    """Return what is held elsewhere than by `model`, and is not public."""
    return tuple(one for one in exposures if one.model != model and one.tag != PUBLIC and not one.is_over(now))


def label_held(exposures: Iterable[Exposure], id_: str) -> Tag | None:
    """Return the label of what is kept under an id (`id_of`); `None` when it is not known."""
    tags = [one.tag for one in exposures if id_ in one.ids]
    return join(*tags) if tags else None


def _bounded(exposures: list[Exposure]) -> tuple[Exposure, ...]:
    while len(exposures) > MOST_EXPOSURES:
        model = next(one.model for one in exposures if sum(other.model == one.model for other in exposures) > 1)
        first, second = [one for one in exposures if one.model == model][:2]
        until = None if first.until is None or second.until is None else max(first.until, second.until)
        ids = (*first.ids, *second.ids)[-MOST_IDS:]
        merged = Exposure(model=model, tag=join(first.tag, second.tag), until=until, ids=ids)
        exposures = [merged, *(one for one in exposures if one is not first and one is not second)]
    return tuple(exposures)
