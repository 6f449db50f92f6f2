"""The only way down: a named, registered act, which says who, why and what, and is recorded before it counts."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from session_router.core.governance import PUBLIC, Integrity, Level, Tag
from session_router.core.label_row import facts_to_plain
from session_router.errors import ConfigurationError, UnregisteredAct

if TYPE_CHECKING:
    from collections.abc import Iterable

    from session_router.ports import AuditLog, Clock

LIFTED: Final = ("regions", "purposes", "tenants", "expires_at", "no_train", "zero_retention")
"""Restrictions that an act may lift as a whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One way to lower a label. What it does not name, it leaves as it is.

    Attributes:
        name: Such as `names replaced by initials`.
        to_level: A higher level is lowered to this one; `None` leaves it.
        categories: Are taken away.
        subjects: Whether whom it is about is taken away.
        lifts: Restrictions that are taken away, of `LIFTED`.
        believed: Whether what was untrusted counts as trusted.
        by: Who may; `None` for whoever gives a name.

    Raises:
        ConfigurationError: It has no name, or lifts something unknown.
    """

    name: str
    to_level: Level | None = None
    categories: frozenset[str] = frozenset()
    subjects: bool = False
    lifts: frozenset[str] = frozenset()
    believed: bool = False
    by: frozenset[str] | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        if not self.name.strip():
            raise ConfigurationError(key="act.name", value=self.name, rule="give it a name.")
        if unknown := frozenset(self.lifts) - frozenset(LIFTED):
            raise ConfigurationError(key="act.lifts", value=sorted(unknown), rule=f"choose among {', '.join(LIFTED)}.")
        if self.to_level is not None:
            object.__setattr__(self, "to_level", Level(self.to_level))
        for name in ("categories", "lifts"):
            object.__setattr__(self, name, frozenset(getattr(self, name)))

    def lowered(self, tag: Tag) -> Tag:
        """Return what is left of `tag`."""
        return replace(
            tag,
            level=tag.level if self.to_level is None else min(tag.level, self.to_level),
            categories=tag.categories - self.categories,
            subjects=frozenset[str]() if self.subjects else tag.subjects,
            integrity=Integrity.TRUSTED if self.believed else tag.integrity,
            **{name: getattr(PUBLIC, name) for name in self.lifts},
        )


class Declassifier:
    """Lowers labels by registered acts. Every time is recorded, or does not happen.

    Args:
        acts: Those that are registered.
        audit: Where they are recorded.
        clock: Says when; the machine's unless given.

    Raises:
        ConfigurationError: Two acts have one name.
    """

    def __init__(self, acts: Iterable[Act], *, audit: AuditLog, clock: Clock | None = None) -> None:
        self._acts: dict[str, Act] = {}
        for act in acts:
            if act.name in self._acts:
                raise ConfigurationError(key="acts", value=act.name, rule="an act has one meaning; give this one another name.")
            self._acts[act.name] = act
        self._audit = audit
        self._now = time.time if clock is None else clock.now

    def declassify(self, tag: Tag, act: str, *, who: str, why: str, what: str, session: str | None = None) -> Tag:
        """Lower a label.

        Args:
            tag: What it is.
            act: The name of a registered act.
            who: Does it, as the application authenticated them.
            why: They do it.
            what: The data is, in words or by a digest; no text of it.
            session: Whose data it is, as decisions name it; `None` for none.

        Returns:
            What is left of the label. It holds for this data alone: joined with others, theirs counts as before.

        Raises:
            UnregisteredAct: There is no such act, or `who` may not do it. That is recorded too.
            ConfigurationError: `who`, `why` or `what` says nothing.
            AuditError: It could not be recorded; nothing is lowered.
        """
        for name, said in (("who", who), ("why", why), ("what", what)):
            if not said.strip():
                raise ConfigurationError(key=name, value=said, rule="say it: a label is lowered by somebody, for a reason, for some data.")
        told: dict[str, Any] = {"event": "declassified", "act": act, "who": who, "why": why, "what": what, "at": self._now()}
        if session is not None:
            told["session"] = session
        registered = self._acts.get(act)
        if registered is None or (registered.by is not None and who not in registered.by):
            self._audit.append({**told, "event": "declassification_refused"})
            raise UnregisteredAct(act=act, who=who, known=sorted(self._acts))
        left = registered.lowered(tag)
        subjects = sorted(tag.subjects)
        self._audit.append({**told, "from": facts_to_plain(tag), "to": facts_to_plain(left), "subjects": subjects})
        return left
