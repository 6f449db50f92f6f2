"""A dynamic model for LangGraph's `create_react_agent`."""

from __future__ import annotations

from collections.abc import Iterable
from types import NoneType
from typing import TYPE_CHECKING, Any

from session_router.core.checking import check_kind
from session_router_langchain.chat_model import SessionRouterChatModel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from session_router.router import Router


def model_selector(router: Router, tools: Sequence[Any] = (), *, is_async: bool = False) -> Callable[..., Any]:
    """Return a function of state and runtime that gives the routing chat model with `tools` bound.

    The choice itself falls when the model is called, with the history as it is then sent: prompts and hooks of
    the agent come after the selection.

    Args:
        router: Who decides.
        tools: The agent's tools; a dynamic model must bring them along.
        is_async: Whether the agent runs with `ainvoke` only and wants a coroutine function.
    """
    check_kind(tools, (Iterable, NoneType), key="tools", rule="give a list of tools.")
    model = SessionRouterChatModel(router=router)
    bound: Any = model.bind_tools(list(tools)) if tools else model

    # Plain functions: LangGraph recognises coroutine functions, not objects with an async `__call__`.
    def select(state: Any, runtime: Any) -> Any:  # noqa: ANN401, ARG001 -- LangGraph's signature
        return bound

    async def aselect(state: Any, runtime: Any) -> Any:  # noqa: ANN401, ARG001 -- as above
        return bound

    return aselect if is_async else select
