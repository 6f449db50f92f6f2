"""The session in a graph's state."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired

# As in LangGraph: classes of the two modules do not mix before Python 3.13.
from typing_extensions import TypedDict


def later_session(left: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
    """Merge what parallel branches write in one step: the session with more commits, whatever the order."""
    return max(left, right, key=_rank)


def _rank(session: dict[str, Any]) -> tuple[int, str]:
    version = session.get("version")
    return version if isinstance(version, int) else -1, repr(sorted(session.items(), key=str))


class RouterState(TypedDict):
    """Mix this into a graph's state: the router node keeps its session there, and the checkpointer keeps it.

    Attributes:
        session_router: Plain values; written by the router node only.
    """

    session_router: NotRequired[Annotated[dict[str, Any], later_session]]
