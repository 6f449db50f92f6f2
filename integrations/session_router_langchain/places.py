"""The graphs around a call: LangGraph's checkpoint namespace says which, and its map of checkpoints which step of each."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from langchain_core.messages import AIMessage, ToolMessage
from langgraph.runtime import get_runtime

from session_router.core.exposure import id_of
from session_router.core.readings import Place
from session_router.identity import graph_id
from session_router_langchain.lineage import called_from
from session_router_langchain.tagging import own_label
from session_router_langchain.vocabulary import is_block

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.messages import BaseMessage
    from langchain_core.runnables import RunnableConfig

    from session_router.identity import SessionNames

MOST_RUNS: Final = 16_384
"""Runs without a thread that a process tells apart at a time."""

_NAME_BYTES: Final = 16
_LEVEL: Final = "|"
_HANDLED: Final = "__pregel_node_error"
"""Where a node's error is handled in the step in which it was raised: its words come from another task of that step."""


class _Runs:
    """Names runs that have no thread. LangGraph gives all graphs of one run the same object, which cannot be referenced weakly."""

    def __init__(self) -> None:
        self._guard = Lock()
        self._names: OrderedDict[int, tuple[object, str]] = OrderedDict()

    def name(self, control: object) -> str:
        key = id(control)
        with self._guard:
            known = self._names[key] = self._names.get(key) or (control, secrets.token_hex(_NAME_BYTES))
            self._names.move_to_end(key)
            if len(self._names) > MOST_RUNS:
                self._names.popitem(last=False)
            return known[1]


_runs = _Runs()


def places_of(
    key: bytes, names: SessionNames, config: RunnableConfig, *, session: str | None = None, within: bool = False, own: bool = False
) -> tuple[Place, ...]:
    """Return where a call stands in the graphs around its session, outermost first; none for an agent's that is a graph by itself.

    Args:
        key: The router's.
        names: Of the session.
        config: Of the run that makes the call.
        session: Id of a session that goes on from call to call; `None` for an agent, which begins anew each time that it is run.
        within: Whether the session is that of whatever calls, a node for one, and not that of the graph that the call is a node of.
        own: Whether that graph has other sessions beside.
    """
    *graphs, last = names.namespace.split(_LEVEL)
    path = names.namespace if within else _LEVEL.join(graphs)
    levels = path.split(_LEVEL) if path else []
    around = [(_LEVEL.join(levels[:at]), level) for at, level in enumerate(levels)]
    if own:
        around.append((path, last))
    configurable: Mapping[str, Any] = config.get("configurable") or {}
    steps = _steps_in(configurable)
    tool = called_from()
    if tool and (names.namespace == tool or names.namespace.startswith(tool + _LEVEL)):
        # What is further out, the tool's caller had read; this call inherits that anyway.
        around = [(graph, task) for graph, task in around if graph == tool or graph.startswith(tool + _LEVEL)]
    around = [(graph, task) for graph, task in around if not steps or graph in steps]
    if not around:
        return ()
    run = None if names.thread is not None else _run_of(configurable)
    reader = id_of(f"session {session}" if session is not None else f"agent {path}")
    rows = [(graph_id(key, names, graph, run=run), graph, task) for graph, task in around]
    return tuple(
        Place(row=row, reader=reader, step=id_of(steps[graph]) if steps.get(graph) else "", task=id_of(task))
        for row, graph, task in rows
        if row is not None
    )


def _steps_in(configurable: Mapping[str, Any]) -> Mapping[str, str]:
    found: object = configurable.get("checkpoint_map")
    if not is_block(found):
        return {}
    handling = configurable.get(_HANDLED) is not None
    return {str(graph): "" if handling else str(checkpoint or "") for graph, checkpoint in found.items()}


def _run_of(configurable: Mapping[str, Any]) -> str | None:
    try:
        runtime: Any = get_runtime()
    except RuntimeError:
        runtime = configurable.get("__pregel_runtime")
    control: object = getattr(runtime, "control", None)
    return None if control is None else _runs.name(control)


def listening(places: tuple[Place, ...], messages: Sequence[BaseMessage], system: BaseMessage | None) -> tuple[Place, ...]:
    """Return `places` with what the request says of itself.

    Tools' results say what they are by their tools. Where an answer stands in the history with its label, the history goes on from it.

    Args:
        places: Where the call stands.
        messages: The history.
        system: The system prompt, if it is not among the messages.
    """
    if not places:
        return ()
    unsaid, anew = is_unsaid(messages, system), not any(isinstance(one, AIMessage) and own_label(one) is not None for one in messages)
    return tuple(replace(place, listens=unsaid, anew=anew) for place in places)


def is_unsaid(messages: Sequence[BaseMessage], system: BaseMessage | None) -> bool:
    """Whether something in a request, other than tools' results, bears no label of its own."""
    if system is not None and own_label(system) is None:
        return True
    return any(own_label(one) is None for one in messages if not isinstance(one, ToolMessage))
