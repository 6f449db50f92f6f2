"""The session in a graph's state."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired

# As in LangGraph: classes of the two modules do not mix before Python 3.13.
from typing_extensions import TypedDict

from session_router.core.governance import join
from session_router.core.label_row import tag_of, tag_to_plain


def later_session(left: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
    """Merge what parallel branches write in one step: the session with more commits, under the labels of both, whatever the order."""
    earlier, later = sorted((left, right), key=_rank)
    labels = [row["tag"] for row in (earlier, later) if row.get("tag") is not None]
    if not labels or labels[0] == later.get("tag"):
        return later
    # What either branch has read is in the history that they share from here on.
    return {**later, "tag": tag_to_plain(join(*map(tag_of, labels)))}


def _rank(session: dict[str, Any]) -> tuple[int, str]:
    version = session.get("version")
    # Whatever its label: several are merged in any order.
    unlabelled = {**session, "tag": None}
    return version if isinstance(version, int) else -1, repr(sorted(unlabelled.items(), key=str))


class RouterState(TypedDict):
    """Mix this into a graph's state: the router node keeps its session there, and the checkpointer keeps it.

    Attributes:
        session_router: Plain values; written by the router node only.
    """

    session_router: NotRequired[Annotated[dict[str, Any], later_session]]
