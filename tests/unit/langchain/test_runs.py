"""Which run was started in which, and that nothing of it stays."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import weakref
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler, CallbackManager
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph

from session_router_langchain.names import current_config
from session_router_langchain.runs import RunTree, configs_around, given_to, watch_runs


@pytest.fixture(autouse=True)
def watching() -> None:
    watch_runs()


def tree_here() -> RunTree:
    callbacks: Any = current_config()["callbacks"]
    (tree,) = (handler for handler in callbacks.handlers if isinstance(handler, RunTree))
    return tree


def threads_around() -> list[Any]:
    found = [(config.get("configurable") or {}).get("thread_id") for config in configs_around(current_config())]
    return [one for at, one in enumerate(found) if at == 0 or one != found[at - 1]]


def graph_of(node: Any) -> Any:
    graph: Any = StateGraph(MessagesState)
    graph.add_node("node", node)
    graph.add_edge(START, "node")
    return graph.compile(checkpointer=InMemorySaver())


def under(name: str) -> Any:
    return {"configurable": {"thread_id": name}}


def nested(told: list[Any]) -> Any:
    inner = graph_of(lambda _: told.append(threads_around()))

    def node(_: Any) -> None:
        inner.invoke({"messages": []}, under("inner"))

    return graph_of(node)


def test_threads_within_threads() -> None:
    told: list[Any] = []
    nested(told).invoke({"messages": []}, under("outer"))
    assert told == [["inner", "outer"]]


async def test_runs_side_by_side_are_told_apart() -> None:
    told: list[Any] = []
    subject = nested(told)
    names = [f"outer {number}" for number in range(20)]
    await asyncio.gather(*(asyncio.to_thread(subject.invoke, {"messages": []}, under(name)) for name in names))
    assert sorted(told) == sorted(["inner", name] for name in names)


def test_nothing_stays_when_runs_end_and_when_they_fail() -> None:
    trees: list[Any] = []

    def node(_: Any) -> None:
        tree = tree_here()
        before = len(tree)
        assert before > 0
        for _ in range(3):
            RunnableLambda(str).invoke(1)
            with pytest.raises(ZeroDivisionError):
                RunnableLambda(lambda _: 1 / 0).invoke(1)
        assert len(tree) == before
        trees.append(weakref.ref(tree))

    graph_of(node).invoke({"messages": []}, under("one"))
    gc.collect()
    assert [one() for one in trees] == [None]


async def test_a_task_that_outlives_its_run_still_says_where_it_was_started() -> None:
    told: list[Any] = []
    inner, over = graph_of(lambda _: told.append(threads_around())), asyncio.Event()
    tasks: list[Any] = []

    async def later() -> None:
        await over.wait()
        await inner.ainvoke({"messages": []}, under("inner"))

    async def begin(_: Any) -> None:
        tasks.append(asyncio.create_task(later()))

    between = graph_of(begin)

    async def node(_: Any) -> None:
        await between.ainvoke({"messages": []}, under("between"))
        over.set()
        await asyncio.gather(*tasks)

    await graph_of(node).ainvoke({"messages": []}, under("outer"))
    assert told == [["inner", "between", "outer"]]


async def test_nothing_stays_of_streams_that_nobody_reads_to_their_end() -> None:
    subject = RunnableLambda(str) | RunnableLambda(str)

    async def node(_: Any) -> None:
        tree = tree_here()
        before = len(tree)
        for _ in range(3):
            async for _ in subject.astream_events(1, version="v2"):
                break
            async for _ in subject.astream(1):
                break
        await asyncio.sleep(0.05)
        gc.collect()
        assert len(tree) == before

    await graph_of(node).ainvoke({"messages": []}, under("one"))


def test_an_outermost_run_may_have_any_id() -> None:
    told: list[Any] = []
    inner = graph_of(lambda _: told.append((threads_around(), len(tree_here()))))

    def node(_: Any) -> None:
        inner.invoke({"messages": []}, under("inner"))

    for name in ("a-run", 7):
        graph_of(node).invoke({"messages": []}, {**under("outer"), "run_id": name})
    assert told == [(["inner", "outer"], told[0][1])] * 2


async def test_of_what_is_over_no_state_is_kept() -> None:
    """Others may hold the ids of runs for as long as they like."""
    ids: list[Any] = []

    class Holding(BaseCallbackHandler):
        def on_chain_start(self, *_: Any, run_id: Any, **__: Any) -> None:
            ids.append(run_id)

    trees: list[Any] = []
    graph_of(lambda _: trees.append(tree_here())).invoke({"messages": []}, {**under("one"), "callbacks": [Holding()]})
    (tree,) = trees
    assert len(tree) == len(ids) > 0
    assert [tree.given(one, str(started.namespace)) for one, started in tree._started.items()] == [None] * len(ids)
    del ids[:]
    gc.collect()
    assert len(tree) == 0


def test_each_outermost_run_has_its_own() -> None:
    trees: list[Any] = []
    subject = RunnableLambda(lambda _: trees.append(tree_here()))
    for _ in range(2):
        subject.invoke(1)
    first, second = trees
    assert first is not second
    assert (len(first), len(second)) == (0, 0)


def test_a_thread_of_ones_own_that_is_given_the_context() -> None:
    told: list[Any] = []

    def node(_: Any) -> None:
        inner = graph_of(lambda _: told.append(threads_around()))
        work = threading.Thread(target=contextvars.copy_context().run, args=(inner.invoke, {"messages": []}, under("inner")))
        work.start()
        work.join()

    graph_of(node).invoke({"messages": []}, under("outer"))
    assert told == [["inner", "outer"]]


def test_through_tools_and_retrievers(caplog: pytest.LogCaptureFixture) -> None:
    told: list[Any] = []
    inner = graph_of(lambda _: told.append(threads_around()))

    @tool
    def ask(note: str) -> str:
        """Ask."""
        inner.invoke({"messages": []}, under("inner"))
        return note

    class Found(BaseRetriever):
        def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
            inner.invoke({"messages": []}, {**under("inner"), "callbacks": run_manager.get_child()})
            return [Document(query)]

    def node(_: Any) -> None:
        ask.invoke({"note": "n"})
        Found().invoke("q")

    outer = graph_of(node)
    outer.invoke({"messages": []}, under("outer"))
    assert told == [["inner", "outer"]] * 2
    assert caplog.records == []


def test_what_a_task_was_given() -> None:
    found: list[Any] = []

    def node(state: Any) -> None:
        namespace = current_config()["configurable"]["checkpoint_ns"]
        RunnableLambda(lambda _: found.append(given_to(namespace, current_config()) is state)).invoke(1)
        found.append(given_to("another:1", current_config()))

    graph_of(node).invoke({"messages": []}, under("one"))
    assert found == [True, None]


def test_outside_of_runs_there_is_nothing() -> None:
    assert list(configs_around({})) == [{}]
    manager = CallbackManager([RunTree()])
    assert list(configs_around({"callbacks": manager})) == [{"callbacks": manager}]
