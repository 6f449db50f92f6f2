"""Runs within runs: in which task of which graph a run was started, whatever it says of itself.

A run that is given a `thread_id` of its own forgets everything of the run that starts it: LangGraph drops what it was configured with.
LangChain's callbacks still go with it, as they do through threads and tasks. So one handler goes with all runs below an outermost one,
and keeps for each where it was called, and with what. It is held by these runs alone, and gone when they are. What a run leaves behind,
such as a task that it does not wait for, may start others when the run itself is over: what is known of a run lasts as long as its id.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast
from uuid import UUID
from weakref import WeakKeyDictionary

from langchain_core.callbacks import BaseCallbackHandler, BaseCallbackManager
from langchain_core.runnables.config import var_child_runnable_config
from langchain_core.tracers.context import register_configure_hook

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping
    from contextvars import ContextVar

    from langchain_core.runnables import RunnableConfig


class _Started(NamedTuple):
    parent: UUID | None
    config: RunnableConfig | None
    namespace: str | None = None
    given: object = None


_INNER: Final = "__pregel_"
_READ: Final = frozenset({"__pregel_runtime", "__pregel_node_error"})
"""What is read of a config that LangGraph keeps for itself (`places`)."""


def _over(started: _Started) -> _Started:
    """Return what to keep of a run that is over: others may hold its id for their own ends, and a graph's state may be large."""
    config = started.config
    if config is not None:
        known = config.get("configurable") or {}
        config = {**config, "configurable": {name: one for name, one in known.items() if name in _READ or not name.startswith(_INNER)}}
    return started._replace(config=config, given=None)


class RunTree(BaseCallbackHandler):
    """What is known of the runs below one outermost run: of those that are under way, and of those that something goes on from."""

    # In the context of whoever starts the run, and not in a thread of its own.
    run_inline = True

    def __init__(self) -> None:
        super().__init__()
        # The manager of a run holds its id, and so do those of whatever it calls; what was started holds that of the run around it.
        self._started: WeakKeyDictionary[UUID, _Started] = WeakKeyDictionary()
        self._named: dict[UUID, _Started] = {}

    def __len__(self) -> int:
        """Return the number of runs that are known."""
        return len(self._started) + len(self._named)

    def __bool__(self) -> bool:
        """Return true: LangChain asks whether there is a handler."""
        return True

    @property
    def ignore_llm(self) -> bool:
        """Models start no runs."""
        return True

    @property
    def ignore_chat_model(self) -> bool:
        """Likewise."""
        return True

    def on_chain_start(  # noqa: D102 -- as in the base class
        self,
        serialized: dict[str, Any],  # noqa: ARG002 -- likewise
        inputs: Any,  # noqa: ANN401 -- likewise
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **_: Any,  # noqa: ANN401 -- likewise
    ) -> None:
        namespace: object = (metadata or {}).get("langgraph_checkpoint_ns")
        task = namespace if isinstance(namespace, str) else None
        self._table(run_id)[run_id] = _Started(parent_run_id, var_child_runnable_config.get(), task, inputs)

    def _begin(self, *_: Any, run_id: UUID, parent_run_id: UUID | None = None, **__: Any) -> None:  # noqa: ANN401 -- as in the base class
        self._table(run_id)[run_id] = _Started(parent_run_id, var_child_runnable_config.get())

    on_tool_start = on_retriever_start = _begin

    def _end(self, *_: Any, run_id: UUID, **__: Any) -> None:  # noqa: ANN401 -- as in the base class
        if isinstance(run_id, UUID):  # pyright: ignore[reportUnnecessaryIsInstance] -- as in `_table`
            # Not taken out in between: others may be looking.
            if (started := self._started.get(run_id)) is not None:
                self._started[run_id] = _over(started)
        else:
            self._named.pop(run_id, None)

    def _table(self, run: UUID) -> MutableMapping[UUID, _Started]:
        # Not everything can be held weakly, and the id of an outermost run may be whatever its caller says.
        return self._started if isinstance(run, UUID) else self._named  # pyright: ignore[reportUnnecessaryIsInstance] -- not checked by LangChain

    on_chain_end = on_tool_end = on_retriever_end = _end
    on_chain_error = on_tool_error = on_retriever_error = _end

    def outside(self, run: UUID | None) -> RunnableConfig | None:
        """Return the config with which `run` was called, or the closest run around it that was called with one; `None` for none."""
        while run is not None and (started := self._table(run).get(run)) is not None:
            if started.config is not None:
                return started.config
            run = started.parent
        return None

    def given(self, run: UUID | None, namespace: str) -> object:
        """Return what the outermost run of a graph's task was given that `run` is in; `None` for not known."""
        found: object = None
        while run is not None and (started := self._table(run).get(run)) is not None:
            if started.namespace == namespace:
                found = started.given
            elif found is not None:
                break
            run = started.parent
        return found


class _Watching:
    """Gives each outermost run a handler of its own, once there is somebody to watch for. LangChain asks it as a context variable."""

    def __init__(self) -> None:
        self.needed = False

    def get(self) -> RunTree | None:
        return RunTree() if self.needed else None


_watching = _Watching()
register_configure_hook(cast("ContextVar[Any]", _watching), inheritable=True, handle_class=RunTree)


def watch_runs() -> None:
    """Watch all runs that begin from now on: there are models that may not see everything."""
    _watching.needed = True


def configs_around(config: RunnableConfig) -> Iterator[RunnableConfig]:
    """Yield `config`, that of whatever started its run, and so on outwards; one task of a graph may come several times."""
    seen = set[int]()
    around: RunnableConfig | None = config
    while around is not None and id(around) not in seen:
        seen.add(id(around))
        yield around
        around = _outside(around)


def given_to(namespace: str, config: RunnableConfig) -> object:
    """Return what the task of a graph was given that a call with `config` is made in, by its checkpoint namespace; `None` for not known."""
    for around in configs_around(config):
        manager, trees = _callbacks_of(around)
        for tree in trees:
            if (found := tree.given(manager, namespace)) is not None:
                return found
    return None


def _outside(config: RunnableConfig) -> RunnableConfig | None:
    run, trees = _callbacks_of(config)
    return next((found for tree in trees if (found := tree.outside(run)) is not None), None)


def _callbacks_of(config: RunnableConfig) -> tuple[UUID | None, list[RunTree]]:
    manager = config.get("callbacks")
    if not isinstance(manager, BaseCallbackManager):
        return None, []
    return manager.parent_run_id, [handler for handler in manager.handlers if isinstance(handler, RunTree)]
