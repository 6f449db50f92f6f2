"""Labels on their way through real agents: what a model may not see never reaches its provider."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langchain.agents.middleware import AgentMiddleware
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver

from session_router import Clearance, ModelSpec, Policy, Prices, Router, SemanticCache, Tag
from session_router.core.cache_terms import CacheRules
from session_router.core.governance import Level
from session_router.errors import NoClearedModel
from session_router.stores.memory import MemorySessionStore
from session_router_langchain import SessionRouterChatModel, SessionRouterMiddleware
from session_router_langchain.tagging import labelled, own_label, tagged_tool
from support.agents import CHAT, CLAUDE, RestlessScorer, Stage, agent_of, asks, call

if TYPE_CHECKING:
    from session_router.router import Router as AnyRouter

OPEN, CLEARED = Clearance(trains=False), Clearance(max_level=Level.CONFIDENTIAL, categories=frozenset({"phi"}), trains=False)
SOURCES = {name: Tag() for name in ("system", "human", "schemas")}
SECRET = Tag(level=Level.CONFIDENTIAL, categories=frozenset({"phi"}))
MARK = "CANARY-7"


@tagged_tool(tag=SECRET)
@tool
def read_patient(number: int) -> str:
    """Read a patient's file."""
    return f"{MARK}: the file of patient {number}"


@tool
def opening_hours() -> str:
    """Tell the opening hours."""
    return "8 to 18"


def governed(
    stage: Stage, *, sources: Any = None, chat: Clearance = OPEN, only: Any = (CHAT, CLAUDE), on_denied: Any = (), **settings: Any
) -> AnyRouter:
    """The cheap model sees public data only, unless told otherwise; the scorer always wants another model."""
    prices = Prices(input=1.0, output=4.0)
    routes = {
        CHAT: ModelSpec(model=stage.chat(), prices=prices, clearance=chat),
        CLAUDE: ModelSpec(model=stage.claude(thinking=None), prices=prices, clearance=CLEARED),
    }
    rules = CacheRules(sharing="tenant", reader=CLEARED)
    labels: Any = {"sources": SOURCES if sources is None else sources, "tools": {"opening_hours": Tag()}}
    policy = Policy(stake=1.0, margin=0.0, cache=rules, on_denied=on_denied, **labels)
    routes = {name: route for name, route in routes.items() if name in only}
    return Router(routes, policy=policy, **{"scorer": RestlessScorer(), "store": MemorySessionStore(), **settings})


def agent(stage: Stage, router: AnyRouter) -> Any:
    middleware = SessionRouterMiddleware(router, principal="ada")
    return agent_of(stage, router=middleware, tools=[read_patient, opening_hours], checkpointer=InMemorySaver())


def leaks(stage: Stage) -> int:
    """Requests that brought the mark to a model that may not see it, as the provider saw them."""
    return sum(MARK in repr(prompt.turns) for prompt in stage.witness.prompts if prompt.model.startswith("sim-chat"))


CONFIG: Any = {"configurable": {"thread_id": "a"}}


def test_a_loop_stays_where_it_is_though_an_application_keeps_no_labels(stage: Stage) -> None:
    """What comes back from its own database says neither who wrote it nor what it is, and the model may not read all that is on offer."""
    stage.witness.script, stage.witness.in_order = {"go": [asks(call("opening_hours")), asks(call("opening_hours")), "Done."]}, True
    model = SessionRouterChatModel(router=governed(stage), principal="ada").bind_tools([read_patient, opening_hours])
    history: list[Any] = [HumanMessage("go")]
    for _ in range(3):
        answer = model.invoke([one.model_copy() for one in history], CONFIG)
        history.append(AIMessage(answer.text, tool_calls=answer.tool_calls))
        history += [opening_hours.invoke(one) for one in answer.tool_calls]
    assert stage.asked == ["sim-chat"] * 3
    stage.assert_sound()


async def test_a_tool_that_does_not_exist_has_returned_nothing_that_a_model_may_not_see(astage: Stage) -> None:
    """Models make up names of tools. Nothing ran, and the framework says so by itself."""
    astage.witness.script = {"go": [asks(call("closing_hours")), asks(call("opening_hours")), "Done."]}
    subject = agent(astage, governed(astage))
    for way in ("sync", "async"):
        given = {"messages": [HumanMessage("go")]}
        said = (subject.invoke(given, CONFIG) if way == "sync" else await subject.ainvoke(given, CONFIG))["messages"]
        astage.assert_sound(said)
        assert [own_label(message) for message in said if message.type == "tool"][-2:] == [Tag()] * 2
        assert said[-2].status == "success"
        assert said[-4].status == "error"


async def test_a_tool_that_nobody_declared_is_still_unlabelled_where_middleware_runs_it(astage: Stage) -> None:
    class Runs(AgentMiddleware):
        def wrap_tool_call(self, request: Any, handler: Any) -> Any:
            del handler
            return ToolMessage(f"Error: {MARK}", name="closing_hours", tool_call_id=request.tool_call["id"], status="error")

        async def awrap_tool_call(self, request: Any, handler: Any) -> Any:
            return self.wrap_tool_call(request, handler)

    astage.witness.script = {"go": [asks(call("closing_hours")), "Done."]}
    router = SessionRouterMiddleware(governed(astage), principal="ada")
    subject = agent_of(astage, Runs(), router=router, tools=[opening_hours], checkpointer=InMemorySaver())
    with pytest.raises(NoClearedModel):
        await subject.ainvoke({"messages": [HumanMessage("go")]}, CONFIG)


SAYS = {
    "file": [asks(call("read_patient", number=7)), "The file is there."],
    "hours": [asks(call("opening_hours")), "From 8 to 18."],
}


async def talk(agent: Any, stage: Stage, *texts: str) -> list[Any]:
    stage.witness.script = SAYS
    for text in texts:
        await agent.ainvoke({"messages": [HumanMessage(text)]}, CONFIG)
    messages: list[Any] = agent.get_state(CONFIG).values["messages"]
    return messages


async def test_what_a_tool_brought_in_mid_loop_reaches_cleared_models_only_from_then_on(astage: Stage) -> None:
    subject = agent(astage, governed(astage))
    texts = ["the hours please", "the file please", *(f"the hours again, {number}" for number in range(6))]
    history = await talk(subject, astage, *texts)
    assert leaks(astage) == 0
    assert [one.text for one in history if one.type == "tool" and MARK in one.text]
    # Before the file both models answer, after it the cleared one alone.
    assert {prompt.model for prompt in astage.witness.prompts if MARK in repr(prompt.turns)} == {"sim-claude"}
    assert own_label(history[-1]) == SECRET
    session = subject.get_state(CONFIG).values["session_router"]
    assert session["tag"]["level"] == "confidential"


async def test_where_everybody_is_cleared_the_same_talk_leaks(astage: Stage) -> None:
    texts = ["the hours please", "the file please", *(f"the hours again, {number}" for number in range(6))]
    await talk(agent(astage, governed(astage, chat=CLEARED)), astage, *texts)
    assert leaks(astage) > 0


async def test_a_locked_model_that_loses_its_clearance_is_forced_out(astage: Stage) -> None:
    """The cheap model asked for the file: it may not see it, so the other one goes on, with the loop told as text."""
    router = governed(astage, scorer=RestlessScorer(start=0))
    decisions: list[Any] = []

    class Watch:
        def on_decision(self, decision: Any) -> None:
            decisions.append(decision)

        def on_outcome(self, *_: Any) -> None: ...

    router.observers = (Watch(),)
    history = await talk(agent(astage, router), astage, "the file please")
    assert leaks(astage) == 0
    assert [(one.action.value, one.model) for one in decisions] == [("keep", CHAT), ("forced_switch", CLAUDE)]
    assert history[-1].text


async def test_what_nobody_labelled_goes_nowhere(astage: Stage) -> None:
    with pytest.raises(NoClearedModel):
        await talk(agent(astage, governed(astage, sources={})), astage, "the hours please")
    assert astage.witness.prompts == []


async def test_a_summary_keeps_the_label_of_what_it_stands_for(astage: Stage) -> None:
    """Somebody replaces the history by a summary without a label: it is as secret as all that the session has seen."""
    subject = agent(astage, governed(astage))
    await talk(subject, astage, "the file please")
    from langchain_core.messages import RemoveMessage
    from langgraph.graph.message import REMOVE_ALL_MESSAGES

    summary = HumanMessage(f"Summary: {MARK}", additional_kwargs={"lc_source": "summarization"})
    subject.update_state(CONFIG, {"messages": [RemoveMessage(id=REMOVE_ALL_MESSAGES), summary]})
    await talk(subject, astage, "the hours please", "the hours again")
    assert leaks(astage) == 0
    assert {prompt.model for prompt in astage.witness.prompts if "Summary" in repr(prompt.turns)} == {"sim-claude"}


async def test_two_sessions_on_one_middleware_do_not_mix_labels(astage: Stage) -> None:
    astage.witness.script = SAYS
    subject = agent(astage, governed(astage))
    for thread, text in (("a", "the file please"), ("b", "the hours please"), ("b", "the hours again")):
        await subject.ainvoke({"messages": [HumanMessage(text)]}, {"configurable": {"thread_id": thread}})
    tags = [subject.get_state({"configurable": {"thread_id": one}}).values["session_router"]["tag"]["level"] for one in ("a", "b")]
    assert tags == ["confidential", "public"]


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_answer_of_the_chat_model_bears_the_label_of_what_it_has_read(astage: Stage, streamed: bool) -> None:
    model = SessionRouterChatModel(router=governed(astage), principal="ada")
    question = labelled(HumanMessage(f"What does this say? {MARK}"), SECRET)
    if streamed:
        chunks = [chunk async for chunk in model.astream([question])]
        answer = sum(chunks[1:], chunks[0])
    else:
        answer = await model.ainvoke([question])
    assert own_label(answer) == SECRET
    assert leaks(astage) == 0
    again = await model.ainvoke([question, answer, HumanMessage("And now?")])
    assert own_label(again) == SECRET
    assert leaks(astage) == 0


async def test_confidential_answers_are_not_kept_by_a_cache_that_may_not_see_them(astage: Stage) -> None:
    cache = SemanticCache()
    model = SessionRouterChatModel(router=governed(astage, cache=cache), principal="ada")
    question = labelled(HumanMessage("What are your opening hours?"), SECRET)
    for _ in range(2):
        await model.ainvoke([question])
    assert len(astage.asked) == 2
    assert "stored" not in cache.counts()


class TestNobodyIsCleared:
    """The session has read what the one model that is left may not see."""

    async def after_the_file(self, stage: Stage, on_denied: Any, *texts: str) -> list[Any]:
        memory = InMemorySaver()
        first, later = governed(stage), governed(stage, only=(CHAT,), on_denied=on_denied)
        for router, said in ((first, ["the file please"]), (later, texts)):
            middleware = SessionRouterMiddleware(router, principal="ada")
            subject = agent_of(stage, router=middleware, tools=[read_patient, opening_hours], checkpointer=memory)
            messages = await talk(subject, stage, *said)
        return messages

    async def test_it_is_refused_unless_the_policy_says_otherwise(self, astage: Stage) -> None:
        with pytest.raises(NoClearedModel):
            await self.after_the_file(astage, (), "the hours please")
        assert leaks(astage) == 0

    @pytest.mark.parametrize("way", ["withhold", "fresh"])
    async def test_a_smaller_request_is_answered_and_the_history_stays(self, astage: Stage, way: str) -> None:
        history = await self.after_the_file(astage, (way,), "the hours please", "the hours again")
        assert leaks(astage) == 0
        assert astage.refused == []
        assert history[-1].text == "From 8 to 18."
        assert [one.text for one in history if one.type == "tool" and MARK in one.text]
        asked = [prompt for prompt in astage.witness.prompts if prompt.model == "sim-chat"]
        assert any("withheld" in repr(prompt.turns) for prompt in asked) == (way == "withhold")
        # What was said of public data alone is public.
        assert own_label(history[-1]) == Tag()

    async def test_what_comes_in_mid_loop_is_withheld_from_the_model_that_asked(self, astage: Stage) -> None:
        router = governed(astage, only=(CHAT,), on_denied=("withhold",))
        history = await talk(agent(astage, router), astage, "the file please", "the hours please")
        assert leaks(astage) == 0
        assert history[-1].text == "From 8 to 18."

    async def test_what_was_said_last_is_never_withheld(self, astage: Stage) -> None:
        model = SessionRouterChatModel(router=governed(astage, only=(CHAT,), on_denied=("withhold", "fresh")), principal="ada")
        with pytest.raises(NoClearedModel):
            await model.ainvoke([labelled(HumanMessage(MARK), SECRET)])
        assert astage.witness.prompts == []
