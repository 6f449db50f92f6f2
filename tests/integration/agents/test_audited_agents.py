"""What happens to real agents is in the log of their configuration: every decision, and what came of it, in a chain that verifies."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from session_router import AuditFile, MemorySessionStore, SemanticCache, load_router
from session_router.core.governance import Level
from session_router.errors import NotRecorded
from session_router.testing.providers import Fault
from session_router_langchain import SessionRouterChatModel, SessionRouterMiddleware
from support.agents import CHAT, CLAUDE, RestlessScorer, Stage, agent_of, asks, call, weather
from support.pages import run_command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CONFIGURATION = f"""
[policy]
stake = 1.0
margin = 0.0
sources = {{system = {{}}, human = {{LABEL}}, tool = {{}}, schemas = {{}}}}

[models.{CHAT}]
prices = {{input = 1.0, output = 4.0}}
clearance = {{max_level = "confidential", processing_regions = ["eu"], trains = false}}

[models.{CLAUDE}]
prices = {{input = 1.0, output = 4.0}}
clearance = {{max_level = "confidential", processing_regions = ["us"], trains = false}}

[audit]
path = "audit.jsonl"
"""
CONFIG: Any = {"configurable": {"thread_id": "a"}}
TEXTS = ("the weather please", "hello", "hello again")
ANSWERED = ("sim-chat-2026-01-01", "sim-claude-20260101")
"""The ids under which the providers say that they answered."""


@pytest.fixture
def configured(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    opened: list[Any] = []

    def configured(stage: Stage, *, level: str = "public", **settings: Any) -> Any:
        path = tmp_path / "router.toml"
        path.write_text(CONFIGURATION.replace("LABEL", f'level = "{level}"'), encoding="utf-8")
        models = {CHAT: stage.chat(stream_usage=True), CLAUDE: stage.claude(thinking=None)}
        settings = {"scorer": RestlessScorer(), "store": MemorySessionStore(), "environment": {}, **settings}
        opened.append(load_router(path, models=models, **settings))
        return opened[-1]

    yield configured
    for router in opened:
        if isinstance(router.audit, AuditFile):
            router.audit.close()


def records(router: Any) -> list[dict[str, Any]]:
    assert router.audit.verify().sound
    found: list[dict[str, Any]] = list(router.audit.records())
    return found


def pairs(router: Any) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Return each decision with what came of it, in the order of the log."""
    found: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {}
    for record in records(router):
        if "decision" in record:
            found[record["decision_id"]] = (record, [])
        else:
            # What came of a decision stands behind it.
            found[record["decision_id"]][1].append(record)
    return list(found.values())


async def by_agent(stage: Stage, router: Any) -> None:
    subject = agent_of(stage, router=SessionRouterMiddleware(router, principal="ada"), checkpointer=InMemorySaver(), tools=[weather])
    for text in TEXTS:
        await subject.ainvoke({"messages": [HumanMessage(text)]}, CONFIG)


async def by_agent_in_a_thread(stage: Stage, router: Any) -> None:
    subject = agent_of(stage, router=SessionRouterMiddleware(router, principal="ada"), checkpointer=InMemorySaver(), tools=[weather])
    await asyncio.to_thread(lambda: [subject.invoke({"messages": [HumanMessage(text)]}, CONFIG) for text in TEXTS])


async def by_stream(stage: Stage, router: Any) -> None:
    del stage
    model = SessionRouterChatModel(router=router, principal="ada")
    for text in TEXTS:
        assert [chunk async for chunk in model.astream(text, CONFIG)]


async def by_stream_in_a_thread(stage: Stage, router: Any) -> None:
    del stage
    model = SessionRouterChatModel(router=router, principal="ada")
    await asyncio.to_thread(lambda: [list(model.stream(text, CONFIG)) for text in TEXTS])


@pytest.mark.parametrize("door", [by_agent, by_agent_in_a_thread, by_stream, by_stream_in_a_thread])
async def test_every_decision_is_followed_by_what_came_of_it(astage: Stage, configured: Any, door: Any) -> None:
    astage.witness.script = {"weather": [asks(call("weather", city="Rome")), "Sunny."]}
    router = configured(astage)
    await door(astage, router)
    found = pairs(router)
    assert len(found) == len(astage.witness.prompts) >= 3
    for decision, outcomes in found:
        (outcome,) = outcomes
        assert (outcome["event"], outcome["error"], outcome["chosen"]) == ("answered", None, decision["model"])
        assert outcome["model"] == decision["model"]
        assert outcome["returned"] == dict(zip((CHAT, CLAUDE), ANSWERED, strict=True))[decision["model"]]
        assert outcome["regions"] == {CHAT: ["eu"], CLAUDE: ["us"]}[decision["model"]]
        assert outcome["tokens"]["input"] > 0
        assert outcome["tokens"]["output"] > 0
        assert outcome["session"] == decision["session"]
    assert {decision["model"] for decision, _ in found} == {CHAT, CLAUDE}
    assert "weather" not in router.audit.path.read_text(encoding="utf-8")


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_fallback_leaves_both_outcomes(astage: Stage, configured: Any, streamed: bool) -> None:
    router = configured(astage, scorer=RestlessScorer(start=0))
    astage.providers.faults.next(Fault.overloaded(), model="sim-chat")
    model = SessionRouterChatModel(router=router, principal="ada")
    assert [chunk async for chunk in model.astream("hello")] if streamed else await model.ainvoke("hello")
    (first, (failed,)), (second, (answered,)) = pairs(router)
    assert (first["model"], failed["event"], failed["model"], failed["tokens"]) == (CHAT, "failed", None, None)
    # The name of what the client raised, and not what it says.
    assert failed["error"].isidentifier()
    assert failed["error"].endswith("Error")
    assert (second["model"], second["reason"], answered["event"], answered["model"]) == (CLAUDE, "fallback", "answered", CLAUDE)


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_stored_answer_leaves_an_outcome(astage: Stage, configured: Any, streamed: bool) -> None:
    from session_router import CacheRules, Clearance, Policy, Tag

    rules = CacheRules(reader=Clearance(trains=False))
    public = {name: Tag() for name in ("system", "human", "ai", "schemas")}
    router = configured(astage, cache=SemanticCache(), policy=Policy(stake=1.0, margin=0.0, cache=rules, sources=public))
    model = SessionRouterChatModel(router=router, principal="ada")
    await model.ainvoke("What are your opening hours?")
    assert (
        [chunk async for chunk in model.astream("What are your opening hours?")]
        if streamed
        else await model.ainvoke("What are your opening hours?")
    )
    (_, (answered,)), (hit, (replayed,)) = pairs(router)
    assert len(astage.witness.prompts) == 1
    assert hit["decision"] == "cache_hit"
    assert (replayed["event"], replayed["chosen"], replayed["model"]) == ("replayed", None, answered["model"])
    assert replayed["entry"] == hit["evidence"]["cache"]["entry"]


async def test_show_prints_what_came_of_decisions(astage: Stage, configured: Any, monkeypatch: Any) -> None:
    router = configured(astage, scorer=RestlessScorer(start=0))
    astage.providers.faults.next(Fault.overloaded(), model="sim-chat")
    await SessionRouterChatModel(router=router, principal="ada").ainvoke("hello")
    path = router.audit.path
    router.audit.close()
    monkeypatch.setenv("COLUMNS", "200")
    code, shown = run_command(f"session-router audit show {path}")
    assert code == 0
    assert "failed" in shown
    assert "Error" in shown
    assert "sim-claude-20260101" in shown
    assert " input" in shown


class SlowDisk:
    """A log on a disk that stands still until it is told to go on."""

    def __init__(self, log: Any, *, full: bool = False) -> None:
        self.log, self.full = log, full
        self.waiting, self.goes_on = threading.Event(), threading.Event()

    def append(self, record: Any) -> None:
        self.waiting.set()
        assert self.goes_on.wait(20.0)
        if self.full:
            raise OSError
        self.log.append(record)


@pytest.mark.parametrize("level", ["public", "confidential"])
@pytest.mark.parametrize("full", [False, True])
async def test_the_loop_goes_on_while_the_disk_is_slow_and_the_send_waits(
    astage: Stage,
    configured: Any,
    tmp_path: Path,
    level: str,
    full: bool,
) -> None:
    with AuditFile(tmp_path / "slow.jsonl") as log:
        disk = SlowDisk(log, full=full)
        model = SessionRouterChatModel(router=configured(astage, level=level, audit=disk), principal="ada")
        calls = [asyncio.ensure_future(model.ainvoke(f"hello {number}")) for number in range(5)]
        ticks = 0
        while not disk.waiting.is_set() or ticks < 200:
            assert not any(one.done() for one in calls)
            ticks += 1
            await asyncio.sleep(0)
        # While the record is not there, nothing is sent.
        assert astage.witness.prompts == []
        disk.goes_on.set()
        results = await asyncio.gather(*calls, return_exceptions=True)
        refused = full and Level[level.upper()] >= Level.CONFIDENTIAL
        assert [isinstance(one, NotRecorded) for one in results] == [refused] * 5
        assert len(astage.witness.prompts) == (0 if refused else 5)
        assert log.verify().sound
        assert len(list(log.records())) == (0 if full else 10)


async def test_rows_stand_in_the_order_in_which_they_were_handed_in(astage: Stage, configured: Any) -> None:
    router = configured(astage)
    model = SessionRouterChatModel(router=router, principal="ada")
    seen: list[str] = []

    class Watch:
        def on_decision(self, decision: Any) -> None:
            seen.append(decision.id)

        def on_outcome(self, *_: Any) -> None: ...

    router.observers = (Watch(),)
    await asyncio.gather(*(model.ainvoke(f"hello {number}") for number in range(40)))
    assert [record["decision_id"] for record in records(router) if "decision" in record] == seen
    assert len(pairs(router)) == 40
    assert all(len(outcomes) == 1 for _, outcomes in pairs(router))
