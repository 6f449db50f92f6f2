"""Routing for LangChain: agent middleware, a chat model, a cache and its judge, a callback handler, and portable histories."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from session_router_langchain.callback import SessionRouterCallbackHandler, Sighting
    from session_router_langchain.chat_model import SessionRouterChatModel
    from session_router_langchain.judge import ChatModelJudge
    from session_router_langchain.llm_cache import SessionRouterCache
    from session_router_langchain.middleware import SessionRouterMiddleware
    from session_router_langchain.portability import convert, portability_report
    from session_router_langchain.repairing import repair
    from session_router_langchain.tagging import labelled, tagged_tool
    from session_router_langchain.target import target_of

_HOME = {
    "ChatModelJudge": "judge",
    "SessionRouterCache": "llm_cache",
    "SessionRouterCallbackHandler": "callback",
    "SessionRouterChatModel": "chat_model",
    "SessionRouterMiddleware": "middleware",
    "Sighting": "callback",
    "convert": "portability",
    "labelled": "tagging",
    "portability_report": "portability",
    "repair": "repairing",
    "tagged_tool": "tagging",
    "target_of": "target",
}

__all__ = [
    "ChatModelJudge",
    "SessionRouterCache",
    "SessionRouterCallbackHandler",
    "SessionRouterChatModel",
    "SessionRouterMiddleware",
    "Sighting",
    "convert",
    "labelled",
    "portability_report",
    "repair",
    "tagged_tool",
    "target_of",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 -- each name has its own type, stated above for type checkers
    """Import public names on first use: the chat model needs no `langchain`, only the middleware does."""
    if name not in _HOME:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    try:
        module = importlib.import_module(f"{__name__}.{_HOME[name]}")
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("langchain"):
            raise
        from session_router.errors import MissingExtra

        raise MissingExtra(extra="langchain", package=error.name, feature=name) from error
    return getattr(module, name)


def __dir__() -> list[str]:
    return sorted(__all__)
