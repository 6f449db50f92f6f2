"""Who is this session? One rule for every door: middleware, node, chat model, callback."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from langgraph.config import get_config

from session_router.identity import SessionNames, new_session_names
from session_router_langchain.tagging import label_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.runnables import RunnableConfig

    from session_router.core.governance import Tag


LEVEL: Final = "|"
"""Between the names of a graph's task and of a task of the graph that runs in it, in a checkpoint namespace."""


def current_config() -> RunnableConfig:
    """Return the config of the run that is going on in this context; empty outside of one."""
    try:
        return get_config()
    except RuntimeError:
        return {}


def namespace_here() -> str:
    """Return the checkpoint namespace of the run that is going on in this context; empty outside of one."""
    return _first((current_config().get("metadata") or {}).get("langgraph_checkpoint_ns")) or ""


def names_of(
    config: RunnableConfig,
    runtime: Any = None,  # noqa: ANN401 -- LangGraph's runtime; absent outside of graphs, partial in unit tests of users
    *,
    tenant: str | None,
    principal: str | None,
) -> SessionNames:
    """Return the names that identify the session of a call.

    What the application gives with the call itself comes before what the surrounding run says.

    Args:
        config: The config of the call, or of the run that makes it; what it lacks, its metadata tells.
        runtime: LangGraph's runtime, where the door is given one. It says the same as the config of its run.
        tenant: Whose deployment, if the router serves several.
        principal: The user or service, as the application says; else the one that LangGraph Server authenticated.
    """
    configurable: Mapping[str, Any] = config.get("configurable") or {}
    metadata: Mapping[str, Any] = config.get("metadata") or {}
    execution = getattr(runtime, "execution_info", None)
    return new_session_names(
        tenant=tenant,
        principal=principal or _user_in(configurable, runtime),
        thread=_first(configurable.get("thread_id"), getattr(execution, "thread_id", None), metadata.get("thread_id")),
        namespace=_first(getattr(execution, "checkpoint_ns", None), metadata.get("langgraph_checkpoint_ns")) or "",
        agent=_first(metadata.get("lc_agent_name")),
    )


def context_label(runtime: Any = None, config: RunnableConfig | None = None) -> Tag | None:  # noqa: ANN401 -- as above
    """Return the label that a graph's `context`, or the run's metadata, gives to all that bears none of its own.

    Args:
        runtime: LangGraph's runtime.
        config: The config of the call; that of the surrounding run unless given.
    """
    found = label_in(getattr(runtime, "context", None))
    return found if found is not None else label_in((current_config() if config is None else config).get("metadata") or {})


def _user_in(configurable: Mapping[str, Any], runtime: object) -> str | None:
    """Name the user that LangGraph Server authenticated: it puts the user, and the id by itself, into the configurable."""
    served = getattr(getattr(runtime, "server_info", None), "user", None)
    user, user_id = configurable.get("langgraph_auth_user"), configurable.get("langgraph_auth_user_id")
    if served is None and user is None and user_id is None:
        return None
    return _first(_identity(served), _identity(user), user_id)


def _identity(user: object) -> object:
    return cast("Mapping[str, object]", user).get("identity") if isinstance(user, dict) else getattr(user, "identity", None)


def _first(*values: object) -> str | None:
    """Return the first value that names something, as text: a thread may be numbered, from 0."""
    for value in values:
        if value is not None and value != "":
            return str(value)
    return None
