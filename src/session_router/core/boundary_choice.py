"""The choice that a segment began with: what feedback on any of its calls is about."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from session_router.core.checking import check_kind, check_number
from session_router.core.model import ModelName
from session_router.core.session import SessionId
from session_router.core.value import maker, value
from session_router.errors import ConfigurationError

if TYPE_CHECKING:
    from session_router.core.session import Session

_SESSION_ID = re.compile("[0-9a-f]{64}")


@value
class BoundaryChoice:
    """A choice by chances at the boundary at which a segment began.

    Attributes:
        segment: Which segment, as 32 hex digits: the same at all its calls, and when its boundary is decided again.
        model: Who was chosen.
        p_success: What the scorer gave that model, in [0, 1], before any correction.
        session: Whose row in the store learns from feedback; `None` where the framework keeps the session, or nobody knows it.
    """

    segment: str
    model: ModelName
    p_success: float
    session: SessionId | None = None

    @classmethod
    def of(cls, session: Session, model: ModelName, *, carried: bool) -> BoundaryChoice | None:
        """Return what a call of `session` that `model` answers goes back to; `None` when no chances chose `model` for its segment.

        Args:
            session: As the call leaves it.
            model: Who answers.
            carried: Whether the framework keeps the session.
        """
        account = session.account
        segment = None if account is None else account.segment
        if account is None or segment is None or segment.p_success is None or segment.model != model:
            return None
        name = hashlib.blake2b(f"{session.id}|{account.number}|{segment.opening.hex()}".encode(), digest_size=16).hexdigest()
        return new_boundary_choice(segment=name, model=model, p_success=segment.p_success, session=None if carried else session.id)

    def to_plain(self) -> dict[str, Any]:
        """Return JSON-ready values; what is not known is left out."""
        session = {} if self.session is None else {"session": self.session}
        return {"segment": self.segment, "model": self.model, "p_success": self.p_success, **session}

    @classmethod
    def from_plain(cls, plain: object) -> BoundaryChoice:
        """Read back what `to_plain` wrote. It may have been anywhere in between.

        Raises:
            ConfigurationError: It is something else.
        """
        rule = "give a decision's row as `Decision.to_plain()` writes it, or the facts that an answer carries."
        check_kind(plain, Mapping, key="boundary", rule=rule)
        table = cast("Mapping[object, object]", plain)
        for key in ("segment", "model"):
            check_kind(table.get(key), str, key=f"boundary.{key}", rule=rule)
        check_number(table.get("p_success"), key="boundary.p_success", rule=rule, high=1.0)
        session = table.get("session")
        if session is not None and not (isinstance(session, str) and _SESSION_ID.fullmatch(session)):
            raise ConfigurationError(key="boundary.session", value=session, rule=rule)
        return cls(
            segment=cast("str", table["segment"]),
            model=ModelName(cast("str", table["model"])),
            p_success=float(cast("float", table["p_success"])),
            session=None if session is None else SessionId(session),
        )


new_boundary_choice = maker(BoundaryChoice)
