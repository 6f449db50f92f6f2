"""The session in a graph's state."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict


class RouterState(TypedDict):
    """Mix this into a graph's state: the router node keeps its session there, and the checkpointer keeps it.

    Attributes:
        session_router: Plain values; written by the router node only.
    """

    session_router: NotRequired[dict[str, Any]]
