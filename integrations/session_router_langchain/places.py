"""The graphs around a call: LangGraph's checkpoint namespace says which, and its map of checkpoints which step of each."""

from __future__ import annotations

import secrets
from collections import OrderedDict, deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, cast

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langgraph.runtime import get_runtime

from session_router.core.exposure import id_of
from session_router.core.governance import TOP, join
from session_router.core.readings import Place
from session_router.identity import answer_id, graph_id, request_id
from session_router_langchain.authors import STAMP
from session_router_langchain.fingerprints import canonical
from session_router_langchain.handovers import fields_of
from session_router_langchain.lineage import called_from
from session_router_langchain.names import LEVEL, current_config, names_of
from session_router_langchain.runs import configs_around, given_to
from session_router_langchain.tagging import REQUEST_KEY, own_label
from session_router_langchain.vocabulary import is_block

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langchain_core.runnables import RunnableConfig

    from session_router.core.governance import Tag
    from session_router.core.transcript import Transcript
    from session_router.identity import SessionNames

MOST_RUNS: Final = 16_384
"""Runs without a thread that a process tells apart at a time."""

_NAME_BYTES: Final = 16
_RESUMING: Final = "__pregel_resuming"
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
    key: bytes,
    names: SessionNames,
    config: RunnableConfig,
    *,
    session: str | None = None,
    within: bool = False,
    own: bool = False,
    unlabelled: Tag = TOP,
) -> tuple[Place, ...]:
    """Return where a call stands in the graphs around its session, outermost first.

    An agent that is a graph by itself has nothing around it but its thread's door.

    Args:
        key: The router's.
        names: Of the session.
        config: Of the run that makes the call.
        session: Id of a session that goes on from call to call; `None` for an agent, which begins anew each time that it is run.
        within: Whether the session is that of whatever calls, a node for one, and not that of the graph that the call is a node of.
        own: Whether that graph has other sessions beside.
        unlabelled: What an answer counts as that bears no label.
    """
    here = current_config()
    caller = _Caller(key, names, session, called_from(), here=here, unlabelled=unlabelled)
    *graphs, last = names.namespace.split(LEVEL)
    path = names.namespace if within else LEVEL.join(graphs)
    levels = path.split(LEVEL) if path else []
    around = [(LEVEL.join(levels[:at]), level) for at, level in enumerate(levels)]
    if own:
        around.append((path, last))
    outside, is_elsewhere = caller.outside()
    if is_elsewhere and _thread_in(here) != names.thread and session is not None:
        # A session with a thread of its own, and no graph in it: the graphs are those of the node that calls.
        around = []
    reader = id_of(f"session {session}" if session is not None else f"agent {path}")
    inside = caller.places(names, config.get("configurable") or {}, around, reader=reader)
    has_door = session is None and names.thread is not None and _is_kept(here) and (is_elsewhere or not levels)
    row = graph_id(key, names, "") if has_door else None
    return (*outside, *inside) if row is None else (*outside, Place(row=row, reader=caller.reader, door=True), *inside)


def place_of_tool_call(key: bytes, names: SessionNames, config: RunnableConfig, call_id: str) -> Place | None:
    """Return where the store keeps what is read in a tool's call; `None` where nobody could make the call again.

    Args:
        key: The router's.
        names: Of the session that asked for the tool.
        config: Of the run that makes the call.
        call_id: Of the call.
    """
    namespace: object = (config.get("configurable") or {}).get("checkpoint_ns")
    # No graph's path has an empty name in it.
    row = graph_id(key, names, f"{namespace}{LEVEL}{LEVEL}{call_id}") if namespace and _is_kept(config) else None
    return None if row is None else Place(row=row, reader=id_of("tool"), listens=False)


def is_made_again(config: RunnableConfig) -> bool:
    """Whether the task of a graph that goes on with `config` may have been begun before: what was done in it then is not done anew."""
    return bool((config.get("configurable") or {}).get(_RESUMING))


class _Caller:
    """Who makes a call, and in which runs.

    Args:
        key: The router's.
        names: Of the session.
        session: Its id, for one that goes on from call to call.
        tool: Checkpoint namespace of the tool's call that the call is made in; what is further out, the tool's caller had read, and the
            call inherits that anyway.
        here: The config of the run that is going on.
        unlabelled: What an answer counts as that bears no label.
    """

    def __init__(
        self, key: bytes, names: SessionNames, session: str | None, tool: str | None, *, here: RunnableConfig, unlabelled: Tag
    ) -> None:
        self._key, self._names, self._session, self._tool = key, names, session, tool
        self._here, self._unlabelled = here, unlabelled
        self.reader = id_of("door" if session is None else f"session {session}")
        """Of what is around its thread; for an agent, in each run another."""

    def is_in_tool(self, namespace: str) -> bool:
        return bool(self._tool) and _is_within(namespace, self._tool or "")

    def places(
        self, names: SessionNames, configurable: Mapping[str, Any], around: Sequence[tuple[str, str]], *, reader: str, outside: bool = False
    ) -> tuple[Place, ...]:
        """Return the places in the graphs of one thread, or of a run without one; `around` has each graph's path, and the task in it."""
        steps = _steps_in(configurable)
        if self.is_in_tool(names.namespace):
            around = [(graph, task) for graph, task in around if self.is_in_tool(graph)]
        around = [(graph, task) for graph, task in around if not steps or graph in steps]
        if not around:
            return ()
        run = None if names.thread is not None else _run_of(configurable, is_here=not outside)
        rows = [(graph_id(self._key, names, graph, run=run), graph, task) for graph, task in around]
        return tuple(
            Place(
                row=row,
                reader=reader,
                step=id_of(steps[graph]) if steps.get(graph) else "",
                task=id_of(task),
                outside=outside,
                recollect=partial(self._recollected, f"{graph}{LEVEL}{task}" if graph else task),
            )
            for row, graph, task in rows
            if row is not None
        )

    def _recollected(self, namespace: str) -> Tag:
        return label_in_state(given_to(namespace, self._here), unlabelled=self._unlabelled)

    def outside(self) -> tuple[tuple[Place, ...], bool]:
        """Return the places in the graphs around the thread, outermost first, and whether anything is around it."""
        names, found, is_elsewhere, inner = self._names, list[tuple[Place, ...]](), False, self._names
        for config in configs_around(self._here):
            if self.is_in_tool(inner.namespace):
                break
            outer = names_of(config, tenant=names.tenant, principal=names.principal)
            if outer.thread == inner.thread and _is_within(inner.namespace, outer.namespace):
                continue
            if not is_elsewhere and self._session is None:
                run, path = _run_of(self._here.get("configurable") or {}), names.namespace.rpartition(LEVEL)[0]
                self.reader = id_of(f"agent {run}|{names.thread}|{path}")
            is_elsewhere, inner = True, outer
            levels = outer.namespace.split(LEVEL) if outer.namespace else []
            around = [(LEVEL.join(levels[:at]), level) for at, level in enumerate(levels)]
            found.append(self.places(outer, config.get("configurable") or {}, around, reader=self.reader, outside=True))
        return tuple(place for places in reversed(found) for place in places), is_elsewhere


def label_in_state(state: object, *, unlabelled: Tag) -> Tag:
    """Return the label of the messages in what a graph's task was given: what its code can copy from.

    Args:
        state: Mappings, sequences and objects with attributes are looked into.
        unlabelled: What an answer of ours counts as that bears no label.
    """
    tags, left, seen = list[Any](), [state], set[int]()
    while left:
        one = left.pop()
        if isinstance(one, BaseMessage):
            if (own := own_label(one)) is not None:
                tags.append(own)
            elif STAMP in one.response_metadata:
                tags.append(unlabelled)
        elif id(one) not in seen:
            seen.add(id(one))
            left += _parts_of(one)
    return join(*{*tags})


def _parts_of(value: object) -> list[object]:
    if isinstance(value, Mapping):
        return list(cast("Mapping[object, object]", value).values())
    if isinstance(value, list | tuple | deque):
        return list(cast("Iterable[object]", value))
    return list(fields_of(value).values())


def _is_within(namespace: str, outer: str) -> bool:
    return not outer or namespace == outer or namespace.startswith(outer + LEVEL)


def _is_kept(config: RunnableConfig) -> bool:
    """Whether anybody can take up the thread again."""
    return (config.get("configurable") or {}).get("__pregel_checkpointer") is not None


def _thread_in(config: RunnableConfig) -> str | None:
    return names_of(config, tenant=None, principal=None).thread


def _steps_in(configurable: Mapping[str, Any]) -> Mapping[str, str]:
    found: object = configurable.get("checkpoint_map")
    if not is_block(found):
        return {}
    handling = configurable.get(_HANDLED) is not None
    return {str(graph): "" if handling else str(checkpoint or "") for graph, checkpoint in found.items()}


def _run_of(configurable: Mapping[str, Any], *, is_here: bool = True) -> str | None:
    runtime: Any = None
    if is_here:
        with suppress(RuntimeError):
            runtime = get_runtime()
    runtime = configurable.get("__pregel_runtime") if runtime is None else runtime
    control: object = getattr(runtime, "control", None)
    return None if control is None else _runs.name(control)


def listening(
    places: tuple[Place, ...],
    messages: Sequence[BaseMessage],
    system: BaseMessage | None,
    *,
    transcript: Transcript,
    settings: Mapping[str, Any],
    key: bytes,
) -> tuple[Place, ...]:
    """Return `places` with what the request says of itself.

    Tools' results say what they are by their tools. Where an answer stands in the history with its label, the history goes on from it.

    Args:
        places: Where the call stands.
        messages: The history.
        system: The system prompt, if it is not among the messages.
        transcript: Of the history.
        settings: What else the model is sent.
        key: The router's.
    """
    if not places:
        return ()
    unsaid = is_unsaid(messages, system)
    answered = next((at for at in range(len(messages) - 1, -1, -1) if _is_labelled_answer(messages[at])), None)
    # What an answer was told when it was asked for, its label says.
    new = unsaid if answered is None else is_unsaid(messages[answered + 1 :], None)
    said, further = join(*(tag for tag in transcript.tags if tag is not None)), canonical(settings)
    goes_on = False
    if answered is not None and not new and (before := transcript.prefix_at(answered)) is not None:
        # Nothing stands there but what it answered, and what it said then, system prompt, tools and settings included.
        answer, asked = messages[answered], request_id(key, before.digest, further)
        goes_on = answer.additional_kwargs.get(REQUEST_KEY) == answer_id(key, asked, said_by(answer))
    request = request_id(key, transcript.prefix.digest, further)
    return tuple(
        replace(
            place,
            listens=place.listens and (new if place.door else unsaid),
            anew=answered is None,
            said=said,
            request=request,
            goes_on=goes_on,
        )
        for place in places
    )


def said_by(answer: BaseMessage) -> bytes:
    """Return all that `answer` says, and asks for, to be compared."""
    calls = [(call["name"], call["args"], call["id"]) for call in answer.tool_calls] if isinstance(answer, AIMessage) else []
    return canonical([answer.content, calls])


def _is_labelled_answer(message: BaseMessage) -> bool:
    return isinstance(message, AIMessage) and own_label(message) is not None


def is_unsaid(messages: Sequence[BaseMessage], system: BaseMessage | None) -> bool:
    """Whether something in a request, other than tools' results, bears no label of its own."""
    if system is not None and own_label(system) is None:
        return True
    return any(own_label(one) is None for one in messages if not isinstance(one, ToolMessage))
