"""Detectors of a configuration look at every text that is about to leave, and what they find stays with cleared models."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph

from session_router import MemorySessionStore, Tag, load_router
from session_router.core.governance import PUBLIC, Level
from session_router.errors import NoClearedModel
from session_router_langchain import SessionRouterChatModel, SessionRouterMiddleware
from session_router_langchain.tagging import labelled, own_label
from session_router_langgraph import RouterState, create_router_node
from support.agents import CHAT, CLAUDE, RestlessScorer, Stage, agent_of, asks, call

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from session_router import Router

CARD = "4111 1111 1111 1111"
PROJECT = "PROJECT-ABCD"
CONFIGURATION = f"""
[policy]
stake = 1.0
margin = 0.0
sources = {{system = {{}}, human = {{}}, tool = {{}}, schemas = {{}}}}

[models.{CHAT}]
prices = {{input = 1.0, output = 4.0}}
clearance = {{trains = false}}

[models.{CLAUDE}]
prices = {{input = 1.0, output = 4.0}}
clearance = {{max_level = "restricted", categories = ["pii", "pci", "source_code"], trains = false}}
"""
DETECTORS = r"""
[detectors.patterns.projects]
pattern = '\bPROJECT-[A-Z]{4}\b'
level = "confidential"
categories = ["source_code"]
"""
PRESIDIO = """
[detectors.presidio]
spacy_model = "none"
"""
CONFIG: Any = {"configurable": {"thread_id": "a"}}
TEXTS = ["hello", "hello again", f"see {PROJECT}", "hello there", "and again", "and once more"]


class State(MessagesState, RouterState):
    """What a user's graph would declare."""


@tool
def look_up(who: str) -> str:
    """Look something up."""
    return f"{who} pays with {CARD}"


@pytest.fixture
def configured(tmp_path: Path) -> Callable[..., Router]:
    def configured(stage: Stage, text: str = DETECTORS, *, policy: str = "", start: int = 0, **settings: Any) -> Router:
        path = tmp_path / "router.toml"
        path.write_text(CONFIGURATION.replace("margin = 0.0", f"margin = 0.0\n{policy}") + text, encoding="utf-8")
        models = {CHAT: stage.chat(), CLAUDE: stage.claude(thinking=None)}
        settings = {"scorer": RestlessScorer(start=start), "store": MemorySessionStore(), "environment": {}, **settings}
        return load_router(path, models=models, **settings)

    return configured


def leaks(stage: Stage, *marks: str) -> int:
    """Requests that brought a mark to the model that may see public data only, as the provider saw them."""
    prompts = [prompt for prompt in stage.witness.prompts if prompt.model.startswith("sim-chat")]
    return sum(any(mark in repr(prompt) for mark in marks or (PROJECT,)) for prompt in prompts)


def agent(stage: Stage, router: Router, **settings: Any) -> Any:
    return agent_of(
        stage,
        router=SessionRouterMiddleware(router, principal="ada"),
        **{"tools": [look_up], "checkpointer": InMemorySaver(), **settings},
    )


async def by_agent(stage: Stage, router: Router, texts: list[str]) -> None:
    subject = agent(stage, router)
    for text in texts:
        await subject.ainvoke({"messages": [HumanMessage(text)]}, CONFIG)


async def by_agent_without_waiting_in_a_loop(stage: Stage, router: Router, texts: list[str]) -> None:
    subject = agent(stage, router)

    def talk() -> None:
        for text in texts:
            subject.invoke({"messages": [HumanMessage(text)]}, CONFIG)

    await asyncio.to_thread(talk)


async def by_chat_model(stage: Stage, router: Router, texts: list[str]) -> None:
    del stage
    model, history = SessionRouterChatModel(router=router, principal="ada"), list[Any]()
    for number, text in enumerate(texts):
        history.append(HumanMessage(text))
        if number % 2:
            chunks = [chunk async for chunk in model.astream(history)]
            history.append(AIMessage(sum(chunks[1:], chunks[0]).text))
        else:
            history.append(AIMessage((await model.ainvoke(history)).text))


async def by_node(stage: Stage, router: Router, texts: list[str]) -> None:
    graph: Any = StateGraph(State)
    graph.add_node("router", create_router_node(router, destinations={name: f"ask_{name}" for name in router.models}, principal="ada"))
    for name, model in {CHAT: stage.chat(), CLAUDE: stage.claude(thinking=None)}.items():

        async def ask(state: State, model: Any = model) -> Any:
            return {"messages": [AIMessage((await model.ainvoke(state["messages"])).text)]}

        graph.add_node(f"ask_{name}", ask)
        graph.add_edge(f"ask_{name}", END)
    graph.add_edge(START, "router")
    subject = graph.compile(checkpointer=InMemorySaver())
    for text in texts:
        await subject.ainvoke({"messages": [HumanMessage(text)]}, CONFIG)


DOORS: Any = pytest.mark.parametrize("door", [by_agent, by_agent_without_waiting_in_a_loop, by_chat_model, by_node])


@DOORS
async def test_what_a_detector_finds_reaches_cleared_models_only(astage: Stage, configured: Any, door: Any) -> None:
    await door(astage, configured(astage), TEXTS)
    assert leaks(astage) == 0
    assert {prompt.model for prompt in astage.witness.prompts} == {"sim-chat", "sim-claude"}
    assert any(PROJECT in repr(prompt) for prompt in astage.witness.prompts)


@DOORS
async def test_without_detectors_the_same_talk_leaks(astage: Stage, configured: Any, door: Any) -> None:
    await door(astage, configured(astage, ""), TEXTS)
    assert leaks(astage) > 0


async def test_presidio_finds_what_a_tool_brings_in_mid_loop(astage: Stage, configured: Any) -> None:
    astage.witness.script = {"look": [asks(call("look_up", who="Ann")), "Found."]}
    router = configured(astage, PRESIDIO, start=0)
    subject = agent(astage, router)
    await subject.ainvoke({"messages": [HumanMessage("look Ann up")]}, CONFIG)
    assert leaks(astage, CARD) == 0
    assert {prompt.model for prompt in astage.witness.prompts} == {"sim-chat", "sim-claude"}
    # The answer says what its model has read, and so does the session.
    label = own_label(subject.get_state(CONFIG).values["messages"][-1])
    assert label is not None
    assert label.categories == {"pii", "pci"}
    assert subject.get_state(CONFIG).values["session_router"]["tag"]["level"] == "confidential"


async def test_what_stands_in_arguments_of_calls_and_in_blocks_is_looked_at(astage: Stage, configured: Any) -> None:
    blocks: Any = [{"type": "text", "text": "see"}, {"type": "text", "text": PROJECT}]
    asked = labelled(AIMessage("", tool_calls=[{"name": "look_up", "args": {"who": {"of": [PROJECT]}}, "id": "c1"}]), PUBLIC)
    model = SessionRouterChatModel(router=configured(astage), principal="ada")
    for number in range(3):
        await model.ainvoke([HumanMessage(f"hello {number}"), HumanMessage(blocks)])
        await model.ainvoke([HumanMessage(f"hi {number}"), asked, ToolMessage("nothing", tool_call_id="c1"), HumanMessage("well")])
    assert leaks(astage) == 0
    assert len(astage.witness.prompts) == 6


BESIDE: dict[str, Any] = {
    "a call of before there were several": {"function_call": {"name": "look_up", "arguments": f'{{"who": "{PROJECT}"}}'}},
    "calls as the provider writes them": {
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": f'{{"who": "{PROJECT}"}}'}}]
    },
    "a name": {"name": PROJECT},
}


@pytest.mark.parametrize("beside", BESIDE)
async def test_what_clients_send_of_what_stands_beside_a_message_is_looked_at(astage: Stage, configured: Any, beside: str) -> None:
    """Clients of OpenAI's send these keys of `additional_kwargs`, whoever put them there."""
    asked = labelled(AIMessage("well"), PUBLIC)
    asked.additional_kwargs.update(BESIDE[beside])
    model = SessionRouterChatModel(router=configured(astage), principal="ada")
    for number in range(3):
        await model.ainvoke([HumanMessage(f"hi {number}"), asked, HumanMessage("well")])
    assert {prompt.model for prompt in astage.witness.prompts} == {"sim-claude"}


async def test_the_system_prompt_and_the_tools_are_looked_at(astage: Stage, configured: Any) -> None:
    @tool
    def plans() -> str:
        """Read the plans of PROJECT-ABCD."""
        return ""

    for settings in ({"system_prompt": f"You work on {PROJECT}."}, {"tools": [plans]}):
        subject = agent(astage, configured(astage), **settings)
        for number in range(3):
            await subject.ainvoke({"messages": [HumanMessage(f"hello {number}")]}, CONFIG)
    assert {prompt.model for prompt in astage.witness.prompts} == {"sim-claude"}


class Counting:
    """Finds the project, and counts what it is asked."""

    def __init__(self, broken: Any = None, *, seconds: float = 0.0) -> None:
        self.texts: list[str] = []
        self.broken, self.seconds = broken, seconds

    def detect(self, text: str) -> Tag:
        self.texts.append(text)
        if self.seconds:
            time.sleep(self.seconds)
        if self.broken is not None:
            raise self.broken
        return Tag(level=Level.CONFIDENTIAL) if PROJECT in text else PUBLIC

    async def adetect(self, text: str) -> Tag:
        return await asyncio.to_thread(self.detect, text)


@pytest.mark.parametrize("door", [by_agent, by_agent_without_waiting_in_a_loop, by_chat_model])
async def test_only_new_texts_are_looked_at(astage: Stage, configured: Any, door: Any) -> None:
    """The history comes back from its checkpoint as new messages at every turn."""
    detector = Counting()
    await door(astage, configured(astage, detectors=[detector]), [f"message {number}" for number in range(12)])
    assert len(detector.texts) == len(set(detector.texts))
    assert sum("message " in text for text in detector.texts) >= 12
    assert leaks(astage) == 0


@DOORS
async def test_where_a_detector_fails_nothing_is_sent(astage: Stage, configured: Any, door: Any, caplog: Any) -> None:
    with pytest.raises(NoClearedModel):
        await door(astage, configured(astage, detectors=[Counting(ValueError("my secret"))]), ["my secret"])
    assert astage.witness.prompts == []
    assert "Counting failed (ValueError)" in caplog.text
    assert "my secret" not in caplog.text


@DOORS
async def test_where_a_detector_is_late_nothing_is_sent(astage: Stage, configured: Any, door: Any) -> None:
    never = threading.Event()

    class Hangs(Counting):
        def detect(self, text: str) -> Tag:
            never.wait(20.0)
            return super().detect(text)

    try:
        with pytest.raises(NoClearedModel):
            await door(astage, configured(astage, detectors=[Hangs()], policy="detector_seconds = 0.05"), ["hello"])
    finally:
        never.set()
    assert astage.witness.prompts == []


async def test_what_failed_is_looked_at_again(astage: Stage, configured: Any) -> None:
    detector = Counting(ValueError())
    subject = agent(astage, configured(astage, detectors=[detector]))
    with pytest.raises(NoClearedModel):
        await subject.ainvoke({"messages": [HumanMessage("hello")]}, CONFIG)
    detector.broken = None
    await subject.ainvoke({"messages": [HumanMessage("hello again")]}, CONFIG)
    assert len(astage.witness.prompts) == 1


async def test_a_policy_may_say_what_an_unseen_text_is(astage: Stage, configured: Any) -> None:
    router = configured(astage, detectors=[Counting(ValueError())], policy='undetected = {level = "internal"}')
    await by_agent(astage, router, ["hello", "hello again", "hello there"])
    assert {prompt.model for prompt in astage.witness.prompts} == {"sim-claude"}


async def test_the_event_loop_goes_on_while_a_detector_works(astage: Stage, configured: Any) -> None:
    detector, ticks = Counting(seconds=0.2), 0
    subject = agent(astage, configured(astage, detectors=[detector]), tools=())
    running = asyncio.ensure_future(subject.ainvoke({"messages": [HumanMessage("hello")]}, CONFIG))
    while not running.done():
        # Counted only while the detector is at work: it begins with the first text, and a prompt follows the last.
        ticks += bool(detector.texts) and not astage.witness.prompts
        await asyncio.wait({running}, timeout=0.001)
    await running
    # A loop that was blocked would have ticked once or twice.
    assert ticks > 20


async def test_a_smaller_request_goes_without_what_was_found(astage: Stage, configured: Any) -> None:
    router = configured(astage, policy='on_denied = ["withhold"]')
    router.models = {CHAT: router.models[CHAT]}
    model = SessionRouterChatModel(router=router, principal="ada")
    await model.ainvoke([HumanMessage(f"about {PROJECT}"), AIMessage("well"), HumanMessage("hello")])
    assert leaks(astage) == 0
    assert "withheld" in repr(astage.witness.prompts[0].turns)
