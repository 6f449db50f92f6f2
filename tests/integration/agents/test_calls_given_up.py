"""A call that nobody waits for any more: the log says so, and nothing else changes."""

from __future__ import annotations

import asyncio
import concurrent.futures.thread
import gc
import threading
from contextlib import aclosing, closing
from queue import Queue
from typing import TYPE_CHECKING, Any

import pytest
from langchain.agents.middleware import AgentMiddleware
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langgraph.errors import GraphInterrupt
from langgraph.types import Command, interrupt

from session_router import MemorySessionStore, Policy, Prices, Router
from session_router_langchain import SessionRouterCallbackHandler, SessionRouterChatModel, SessionRouterMiddleware
from support.agents import THREAD, RestlessScorer, agent_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from support.agents import Stage

PRICES = {name: Prices(input=1.0, output=4.0) for name in ("one", "other")}
CALLS: list[Any] = [{"name": "weather", "args": {"city": "Rome"}, "id": "c1", "type": "tool_call"}]


class Model(BaseChatModel):
    """Answers `reply`; then it hangs, or fails in `ends` way."""

    reply: AIMessage = AIMessage("Hello.")
    ends: BaseException | None = None
    hangs: bool = False
    begun: Any = None

    @property
    def _llm_type(self) -> str:
        return "hanging"

    def _generate(self, *_: Any, **__: Any) -> ChatResult:
        if self.ends is not None:
            raise self.ends
        return ChatResult(generations=[ChatGeneration(message=self.reply)])

    async def _agenerate(self, *_: Any, **__: Any) -> ChatResult:
        if self.hangs:
            self.begun.set()
            await asyncio.Event().wait()
        return self._generate()

    def _stream(self, *_: Any, **__: Any) -> Any:
        yield ChatGenerationChunk(message=AIMessageChunk("Hel"))
        yield ChatGenerationChunk(message=AIMessageChunk("lo."))
        if self.ends is not None:
            raise self.ends
        yield ChatGenerationChunk(message=AIMessageChunk("", chunk_position="last"))

    async def _astream(self, *_: Any, **__: Any) -> Any:
        yield ChatGenerationChunk(message=AIMessageChunk("Hel"))
        yield ChatGenerationChunk(message=AIMessageChunk("lo."))
        if self.hangs:
            self.begun.set()
            await asyncio.Event().wait()
        yield ChatGenerationChunk(message=AIMessageChunk("", chunk_position="last"))


class Log:
    """Keeps rows; `next_row` waits for the next one."""

    def __init__(self) -> None:
        self._rows: Queue[Mapping[str, Any]] = Queue()

    def append(self, record: Mapping[str, Any]) -> None:
        self._rows.put(record)

    def next_row(self) -> Mapping[str, Any]:
        return self._rows.get(timeout=60.0)

    def is_empty(self) -> bool:
        return self._rows.empty()


class Watch:
    def __init__(self) -> None:
        self.outcomes: list[Any] = []

    def on_decision(self, decision: Any) -> None: ...

    def on_outcome(self, decision: Any, outcome: Any) -> None:
        del decision
        self.outcomes.append(outcome)


def router_of(model: Model, log: Any, **settings: Any) -> Router:
    routes = {name: model.model_copy() for name in PRICES}
    settings = {"scorer": RestlessScorer(), "policy": Policy(stake=1.0, margin=0.0), **settings}
    return Router(routes, prices=PRICES, audit=log, **settings)


def assert_says_so(log: Log) -> None:
    decision, outcome = log.next_row(), log.next_row()
    assert (outcome["decision_id"], outcome["event"], outcome["error"]) == (decision["decision_id"], "cancelled", "Cancelled")
    assert (outcome["chosen"], outcome["model"], outcome["tokens"]) == (decision["model"], None, None)
    assert log.is_empty()


async def cancelled(model: Any, given: Any, router: Router, *, streamed: bool = False) -> None:
    async def stream() -> None:
        async for _ in model.astream(given, THREAD):
            pass

    begun = next(iter(router.models.values())).model.begun
    task = asyncio.ensure_future(stream() if streamed else model.ainvoke(given, THREAD))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def hanging() -> Model:
    return Model(hangs=True, begun=asyncio.Event())


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_cancelled_call_says_so(hanging: Model, log: Log, streamed: bool) -> None:
    router = router_of(hanging, log)
    await cancelled(SessionRouterChatModel(router=router), "hello", router, streamed=streamed)
    assert_says_so(log)


async def test_a_cancelled_agent_says_so(stage: Stage, hanging: Model, log: Log) -> None:
    router = router_of(hanging, log)
    subject = agent_of(stage, router=SessionRouterMiddleware(router), tools=[])
    await cancelled(subject, {"messages": [HumanMessage("hello")]}, router)
    assert_says_so(log)


def test_a_stream_that_nobody_reads_on_says_so(log: Log) -> None:
    with closing(SessionRouterChatModel(router=router_of(Model(), log)).stream("hello")) as chunks:
        next(chunks)
    assert_says_so(log)


async def test_so_does_one_that_is_awaited(log: Log) -> None:
    async with aclosing(SessionRouterChatModel(router=router_of(Model(), log)).astream("hello")) as chunks:
        await anext(chunks)
    assert_says_so(log)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("streamed", [False, True])
def test_an_interrupt_goes_up_as_it_is_and_says_so(log: Log, streamed: bool, kind: type[BaseException]) -> None:
    error = kind()
    model = SessionRouterChatModel(router=router_of(Model(ends=error), log))
    with pytest.raises(kind) as found:
        list(model.stream("hello")) if streamed else model.invoke("hello")
    assert found.value is error
    assert_says_so(log)


class Asking(AgentMiddleware):
    """Asks a human before a model is asked, or once it has answered."""

    def __init__(self, when: str) -> None:
        super().__init__()
        self._when = when

    def wrap_model_call(self, request: Any, handler: Any) -> Any:
        answer = handler(request) if self._when == "after" else None
        interrupt("May it go on?")
        return answer or handler(request)

    async def awrap_model_call(self, request: Any, handler: Any) -> Any:
        answer = await handler(request) if self._when == "after" else None
        interrupt("May it go on?")
        return answer or await handler(request)


@pytest.mark.parametrize("way", ["sync", "async"])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_call_that_waits_for_a_human_says_so(stage: Stage, log: Log, when: str, way: str) -> None:
    router = router_of(Model(), log)
    subject = agent_of(stage, Asking(when), router=SessionRouterMiddleware(router), tools=[])
    for given, interrupted in (({"messages": [HumanMessage("hello")]}, True), (Command(resume="yes"), False)):
        state = subject.invoke(given, THREAD) if way == "sync" else await subject.ainvoke(given, THREAD)
        assert ("__interrupt__" in state) == interrupted
        if interrupted:
            assert_says_so(log)
    decision, outcome = log.next_row(), log.next_row()
    assert (outcome["decision_id"], outcome["event"], outcome["error"]) == (decision["decision_id"], "answered", None)
    assert log.is_empty()
    assert router.health is not None
    assert router.health.view(router.clock.now()) is None


@pytest.mark.parametrize("streamed", [False, True])
def test_an_interrupt_of_the_graph_in_a_model_goes_up_as_it_is(log: Log, streamed: bool) -> None:
    error = GraphInterrupt()
    model = SessionRouterChatModel(router=router_of(Model(ends=error), log))
    with pytest.raises(GraphInterrupt) as found:
        list(model.stream("hello")) if streamed else model.invoke("hello")
    assert found.value is error
    assert_says_so(log)


def test_a_task_whose_loop_is_gone_says_so(hanging: Model, log: Log) -> None:
    model, loop = SessionRouterChatModel(router=router_of(hanging, log)), asyncio.new_event_loop()
    task = loop.create_task(model.ainvoke("hello"))
    loop.run_until_complete(hanging.begun.wait())
    loop.close()
    del task
    gc.collect()
    assert_says_so(log)


async def test_a_call_that_is_watched_only_says_so(log: Log) -> None:
    seen: list[Any] = []
    watch = SessionRouterCallbackHandler(router_of(Model(), log), seen.append)
    with closing(Model().stream("hello", {"callbacks": [watch]})) as chunks:
        next(chunks)
    assert_says_so(log)
    assert [sighting.outcome.error for sighting in seen] == ["Cancelled"]


async def test_observers_hear_of_it(hanging: Model, log: Log) -> None:
    watch = Watch()
    router = router_of(hanging, log, observers=[watch])
    await cancelled(SessionRouterChatModel(router=router), "hello", router)
    router._aside.wait()
    assert [(outcome.model, outcome.error, outcome.failure) for outcome in watch.outcomes] == [(None, "Cancelled", None)]


async def test_it_is_no_failure_of_the_model(hanging: Model, log: Log) -> None:
    router = router_of(hanging, log)
    for _ in range(20):
        await cancelled(SessionRouterChatModel(router=router), "hello", router)
        hanging.begun.clear()
    assert router.health is not None
    assert router.health.view(router.clock.now()) is None


async def test_a_lock_stays_with_its_model(hanging: Model, log: Log) -> None:
    store = MemorySessionStore()
    asking = router_of(Model(reply=AIMessage("", tool_calls=CALLS)), log, store=store)
    question = HumanMessage("the weather please")
    answer = await SessionRouterChatModel(router=asking).ainvoke([question], THREAD)
    asker = log.next_row()["model"]
    assert log.next_row()["event"] == "answered"
    loop = [question, answer, ToolMessage("sunny", tool_call_id="c1")]
    router = router_of(hanging, log, store=store, key=asking.key)
    await cancelled(SessionRouterChatModel(router=router), loop, router)
    assert_says_so(log)
    await SessionRouterChatModel(router=router_of(Model(), log, store=store, key=asking.key)).ainvoke(loop, THREAD)
    again = log.next_row()
    assert (again["decision"], again["model"], again["lock"]["model"]) == ("keep", asker, asker)


class StillDisk(Log):
    """Takes decisions; what comes of them it takes when it is told to go on."""

    def __init__(self, *, stands_at: str) -> None:
        super().__init__()
        self._stands_at = stands_at
        self.waiting, self.goes_on = threading.Event(), threading.Event()

    def append(self, record: Mapping[str, Any]) -> None:
        if self._stands_at in record:
            self.waiting.set()
            assert self.goes_on.wait(60.0)
        super().append(record)


async def test_whoever_is_cancelled_does_not_wait_for_the_disk(hanging: Model) -> None:
    disk = StillDisk(stands_at="event")
    router = router_of(hanging, disk)
    await cancelled(SessionRouterChatModel(router=router), "hello", router)
    disk.goes_on.set()
    assert_says_so(disk)


async def test_whoever_is_cancelled_before_the_model_is_asked_says_so_too(hanging: Model) -> None:
    disk = StillDisk(stands_at="decision")
    task = asyncio.ensure_future(SessionRouterChatModel(router=router_of(hanging, disk)).ainvoke("hello"))
    await asyncio.to_thread(disk.waiting.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    disk.goes_on.set()
    assert_says_so(disk)
    assert not hanging.begun.is_set()


class BrokenLog(Log):
    def append(self, record: Mapping[str, Any]) -> None:
        super().append(record)
        if "event" in record:
            raise OSError


async def test_a_log_that_cannot_take_it_changes_nothing(hanging: Model, caplog: Any) -> None:
    router = router_of(hanging, (log := BrokenLog()))
    await cancelled(SessionRouterChatModel(router=router), "hello", router)
    assert_says_so(log)
    router._aside.wait()
    assert "OSError" in caplog.text


async def test_a_clock_that_fails_does_not_take_its_place(hanging: Model, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    router = router_of(hanging, log)
    task = asyncio.ensure_future(SessionRouterChatModel(router=router).ainvoke("hello"))
    await hanging.begun.wait()

    def fail() -> float:
        raise RuntimeError

    monkeypatch.setattr(router.clock, "now", fail)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


class Careless(Log, Watch):
    """A log and an observer that hold a lock, and let go of a stream under it."""

    def __init__(self) -> None:
        Log.__init__(self)
        Watch.__init__(self)
        self._guard = threading.Lock()
        self.left: list[Any] = []

    def append(self, record: Mapping[str, Any]) -> None:
        with self._guard:
            self.left.clear()
            super().append(record)

    def on_outcome(self, decision: Any, outcome: Any) -> None:
        with self._guard:
            self.left.clear()
            super().on_outcome(decision, outcome)


@pytest.mark.parametrize("around", ["a record", "an observer", "an executor"])
def test_a_stream_that_goes_under_any_lock_stops_nothing(around: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the garbage collector may let it go anywhere: in a record, in an observer, while any executor takes work."""
    monkeypatch.setattr("session_router.aside.LONGEST_WAIT_SECONDS", 0.05)
    careless = Careless()
    router = router_of(Model(), None, observers=[careless]) if around == "an observer" else router_of(Model(), careless)
    model = SessionRouterChatModel(router=router)

    def go_on() -> None:
        chunks = model.stream("hello")
        first = next(chunks)
        assert first.text
        careless.left.append(chunks)
        del chunks
        if around == "an executor":
            with concurrent.futures.thread._global_shutdown_lock:
                careless.left.clear()
        assert model.invoke("hello again").text == "Hello."
        assert careless.left == []

    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    thread.join(30.0)
    assert not thread.is_alive()
    monkeypatch.setattr("session_router.aside.LONGEST_WAIT_SECONDS", 30.0)
    router._aside.wait()
    if around == "an observer":
        assert sorted(str(one.error) for one in careless.outcomes) == ["Cancelled", "None"]
    else:
        assert sorted(str(careless.next_row().get("event")) for _ in range(4)) == ["None", "None", "answered", "cancelled"]
