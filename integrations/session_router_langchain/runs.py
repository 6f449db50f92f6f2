"""Runs within runs: in which task of which graph a run was started, whatever it says of itself.

A run that is given a `thread_id` of its own forgets everything of the run that starts it: LangGraph drops what it was configured with.
LangChain's callbacks still go with it, as they do through threads and tasks. So one handler goes with all runs below an outermost one,
and keeps for each that is under way where it was called, and with what. It is held by these runs alone, and gone when they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

from langchain_core.callbacks import BaseCallbackHandler, BaseCallbackManager
from langchain_core.runnables.config import var_child_runnable_config
from langchain_core.tracers.context import register_configure_hook

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextvars import ContextVar
    from uuid import UUID

    from langchain_core.runnables import RunnableConfig


class _Started(NamedTuple):
    parent: UUID | None
    config: RunnableConfig | None
    namespace: str | None = None
    given: object = None


class RunTree(BaseCallbackHandler):
    """What is under way below one outermost run."""

    # In the context of whoever starts the run, and not in a thread of its own.
    run_inline = True

    def __init__(self) -> None:
        super().__init__()
        self._started: dict[UUID, _Started] = {}

    def __len__(self) -> int:
        """Return the number of runs that are under way."""
        return len(self._started)

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
        self._started[run_id] = _Started(parent_run_id, var_child_runnable_config.get(), task, inputs)

    def _begin(self, *_: Any, run_id: UUID, parent_run_id: UUID | None = None, **__: Any) -> None:  # noqa: ANN401 -- as in the base class
        self._started[run_id] = _Started(parent_run_id, var_child_runnable_config.get())

    on_tool_start = on_retriever_start = _begin

    def _end(self, *_: Any, run_id: UUID, **__: Any) -> None:  # noqa: ANN401 -- as in the base class
        self._started.pop(run_id, None)

    on_chain_end = on_tool_end = on_retriever_end = _end
    on_chain_error = on_tool_error = on_retriever_error = _end

    def outside(self, run: UUID | None) -> RunnableConfig | None:
        """Return the config with which `run` was called, or the closest run around it that was called with one; `None` for none."""
        while run is not None and (started := self._started.get(run)) is not None:
            if started.config is not None:
                return started.config
            run = started.parent
        return None

    def given(self, run: UUID | None, namespace: str) -> object:
        """Return what the outermost run of a graph's task was given that `run` is in; `None` for not known."""
        found: object = None
        while run is not None and (started := self._started.get(run)) is not None:
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
