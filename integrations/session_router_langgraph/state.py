"""The session in a graph's state."""

from __future__ import annotations

from typing import Any, NotRequired

# As in LangGraph: classes of the two modules do not mix before Python 3.13.
from typing_extensions import TypedDict


class RouterState(TypedDict):
    """Mix this into a graph's state: the router node keeps its session there, and the checkpointer keeps it.

    Attributes:
        session_router: Plain values; written by the router node only.
    """

    session_router: NotRequired[dict[str, Any]]
