"""A routing layer for LLM agents that knows when it must not switch."""

from __future__ import annotations

TYPE_CHECKING = False
"""For type checkers it is true. `typing` takes longer to load than all of Python that a command has loaded before."""

if TYPE_CHECKING:
    from typing import Any

    from session_router.audit.file import AuditFile
    from session_router.cache.semantic import SemanticCache
    from session_router.config import load_router
    from session_router.config.litellm_prices import prices_from_litellm
    from session_router.core.cache_terms import CacheRules
    from session_router.core.call import Call, Outcome
    from session_router.core.decision import Action, Decision, Reason
    from session_router.core.feedback import Feedback
    from session_router.core.governance import Clearance, Tag
    from session_router.core.model import ModelSpec
    from session_router.core.policy import Policy
    from session_router.core.pricing import Prices
    from session_router.errors import SessionRouterError
    from session_router.router import Router
    from session_router.stores.memory import MemorySessionStore
    from session_router.stores.sqlite import SQLiteSessionStore

_HOME = {
    "Action": "core.decision",
    "CacheRules": "core.cache_terms",
    "AuditFile": "audit.file",
    "Call": "core.call",
    "Clearance": "core.governance",
    "Decision": "core.decision",
    "Feedback": "core.feedback",
    "MemorySessionStore": "stores.memory",
    "ModelSpec": "core.model",
    "Outcome": "core.call",
    "Policy": "core.policy",
    "Prices": "core.pricing",
    "Reason": "core.decision",
    "Router": "router",
    "SQLiteSessionStore": "stores.sqlite",
    "SemanticCache": "cache.semantic",
    "SessionRouterError": "errors",
    "Tag": "core.governance",
    "load_router": "config",
    "prices_from_litellm": "config.litellm_prices",
}

__all__ = [
    "Action",
    "AuditFile",
    "CacheRules",
    "Call",
    "Clearance",
    "Decision",
    "Feedback",
    "MemorySessionStore",
    "ModelSpec",
    "Outcome",
    "Policy",
    "Prices",
    "Reason",
    "Router",
    "SQLiteSessionStore",
    "SemanticCache",
    "SessionRouterError",
    "Tag",
    "load_router",
    "prices_from_litellm",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 -- each name has its own type, stated above for type checkers
    """Import public names on first use: importing the package loads nothing else."""
    if name not in _HOME:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
