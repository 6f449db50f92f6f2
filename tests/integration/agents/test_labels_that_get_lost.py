"""Labels that an application or a framework drops on the way: what they are about still reaches cleared models only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, SummarizationMiddleware
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage, SystemMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph.message import REMOVE_ALL_MESSAGES

from integration.agents.test_labels import CLEARED, CONFIG, MARK, SECRET, SOURCES, governed, leaks, opening_hours, read_patient, talk
from session_router import SemanticCache, Tag
from session_router.cache.settings import CacheSettings
from session_router.core.governance import Level
from session_router.core.label_row import tag_to_plain
from session_router.errors import NoClearedModel
from session_router_langchain import SessionRouterChatModel, SessionRouterMiddleware
from session_router_langchain.tagging import TAG_KEY, labelled
from support.agents import CHAT, RestlessScorer, agent_of, session_in

if TYPE_CHECKING:
    from support.agents import Stage

TOOLS_ARE_PUBLIC = {**SOURCES, "tool": Tag()}
"""What tools return that nobody declared."""


def loop(said: str, **fields: Any) -> list[Any]:
    """Return a history in which a tool has answered; the model that asked had read nothing but public data."""
    asked = AIMessage("", tool_calls=[{"name": "read_patient", "args": {"number": 7}, "id": "c1"}])
    return [HumanMessage(said), labelled(asked, Tag()), ToolMessage(MARK, tool_call_id="c1", **fields)]


async def test_a_label_on_the_system_prompt_counts(astage: Stage) -> None:
    router = governed(astage, scorer=RestlessScorer(start=0))
    prompt = labelled(SystemMessage(f"You know this: {MARK}"), SECRET)
    subject = agent_of(
        astage,
        router=SessionRouterMiddleware(router, principal="ada"),
        tools=[opening_hours],
        checkpointer=InMemorySaver(),
        system_prompt=prompt,
    )
    for number in range(3):
        await subject.ainvoke({"messages": [HumanMessage(f"hello {number}")]}, CONFIG)
    assert {prompt.model for prompt in astage.witness.prompts} == {"sim-claude"}


@pytest.mark.parametrize("name", [None, "opening_hours"])
async def test_a_result_without_its_name_bears_the_label_of_the_tool_that_was_called(astage: Stage, name: str | None) -> None:
    router = governed(astage, sources=TOOLS_ARE_PUBLIC, scorer=RestlessScorer(start=0))
    model = SessionRouterChatModel(router=router, principal="ada").bind_tools([read_patient, opening_hours])
    for number in range(3):
        await model.ainvoke(loop(f"the file, {number}", name=name))
    assert leaks(astage) == 0


async def test_a_result_bears_the_label_of_a_tool_that_is_not_on_offer_any_more(astage: Stage) -> None:
    router = governed(astage, sources=TOOLS_ARE_PUBLIC, scorer=RestlessScorer(start=0))
    model = SessionRouterChatModel(router=router, principal="ada")
    await model.bind_tools([read_patient]).ainvoke([HumanMessage("the file")])
    for number in range(3):
        await model.ainvoke(loop(f"the file, {number}", name="read_patient"))
    assert leaks(astage) == 0


async def test_what_a_tool_gives_back_of_its_arguments_is_withheld_as_they_are(astage: Stage) -> None:
    router = governed(astage, sources=TOOLS_ARE_PUBLIC, only=(CHAT,), on_denied=("withhold",))
    model = SessionRouterChatModel(router=router, principal="ada")
    asked = AIMessage(MARK, tool_calls=[{"name": "echo", "args": {"text": MARK}, "id": "c1"}])
    result = ToolMessage(MARK, tool_call_id="c1", name="echo")
    await model.ainvoke(
        [HumanMessage("hello"), labelled(asked, SECRET), result, labelled(AIMessage("done"), SECRET), HumanMessage("go on")]
    )
    assert leaks(astage) == 0
    assert len(astage.witness.prompts) == 1


@pytest.mark.parametrize("results", [1, 300])
@pytest.mark.parametrize("left", ["nothing", "another answer"])
async def test_a_result_whose_call_was_trimmed_away_is_as_secret_as_its_session(astage: Stage, left: str, results: int) -> None:
    """Nobody can tell any more what its arguments carried."""
    router = governed(astage, sources=TOOLS_ARE_PUBLIC, scorer=RestlessScorer(start=0))
    model = SessionRouterChatModel(router=router, principal="ada")
    ids = [f"c{number}" for number in range(results)]
    asked = AIMessage(MARK, tool_calls=[{"name": "echo", "args": {"text": MARK}, "id": id_} for id_ in ids])
    answered = [ToolMessage(MARK, tool_call_id=id_, name="echo") for id_ in ids]
    await model.ainvoke([HumanMessage("hello"), labelled(asked, SECRET), *answered], CONFIG)
    before = [] if left == "nothing" else [labelled(AIMessage("hi"), Tag())]
    for number in range(3):
        await model.ainvoke([HumanMessage("hello"), *before, answered[-1], HumanMessage(f"go on, {number}")], CONFIG)
    assert leaks(astage) == 0
    # A result that says itself what it is may be believed.
    await model.ainvoke([HumanMessage("hello"), labelled(ToolMessage("noon", tool_call_id="c9"), Tag()), HumanMessage("go on")], CONFIG)
    await model.ainvoke([HumanMessage("hello"), labelled(ToolMessage("noon", tool_call_id="c9"), Tag()), HumanMessage("so?")], CONFIG)
    assert {prompt.model for prompt in astage.witness.prompts[-2:]} == {"sim-chat", "sim-claude"}


HOOKS = ["before_agent", "before_model", "after_model", "after_agent"]


@pytest.mark.parametrize("hook", HOOKS)
async def test_what_a_hook_of_a_middleware_asks_is_unlabelled_though_it_stands_in_a_text_of_a_human(astage: Stage, hook: str) -> None:
    router = governed(astage, sources=TOOLS_ARE_PUBLIC)

    async def judged(_: Any, state: Any, runtime: Any) -> None:
        del runtime
        await SessionRouterChatModel(router=router).ainvoke(f"Is this harmless? {state['messages'][-1].text}")

    inside = type("Judging", (AgentMiddleware,), {f"a{hook}": judged})()
    middleware = [SessionRouterMiddleware(router, principal="ada"), inside]
    subject = create_agent(astage.chat(), tools=[], middleware=middleware, checkpointer=InMemorySaver())
    with pytest.raises(NoClearedModel):
        await subject.ainvoke({"messages": [labelled(HumanMessage(MARK), SECRET)]}, CONFIG)
    assert leaks(astage) == 0


async def test_a_stored_answer_raises_the_label_of_its_reader_s_session(astage: Stage) -> None:
    """It is in the history now: a summary of that is as secret as the answer."""
    cache = SemanticCache(settings=CacheSettings(clearance=CLEARED))
    router = governed(astage, cache=cache, scorer=RestlessScorer(start=1))
    subject = agent_of(astage, router=SessionRouterMiddleware(router, principal="ada"), tools=(), checkpointer=InMemorySaver())
    tags: list[str] = []
    for name in ("a", "b"):
        config: Any = {"configurable": {"thread_id": name}}
        for text in (HumanMessage("Hello there, good people."), labelled(HumanMessage(f"What does {MARK} mean?"), SECRET)):
            await subject.ainvoke({"messages": [text]}, config)
        tags.append(session_in(subject, config)["tag"]["level"])
    assert tags == ["confidential", "confidential"]
    assert cache.counts()["hit.exact"] >= 1
    summary = HumanMessage(f"Summary: {MARK}", additional_kwargs={"lc_source": "summarization"})
    subject.update_state(config, {"messages": [RemoveMessage(id=REMOVE_ALL_MESSAGES), summary]})
    for number in range(3):
        await subject.ainvoke({"messages": [HumanMessage(f"and now, {number}")]}, config)
    assert leaks(astage) == 0
    assert any("Summary" in repr(prompt.turns) for prompt in astage.witness.prompts)


async def test_a_stored_answer_raises_the_label_of_a_session_in_the_store(astage: Stage) -> None:
    cache = SemanticCache(settings=CacheSettings(clearance=CLEARED))
    router = governed(astage, cache=cache)
    model = SessionRouterChatModel(router=router, principal="ada")
    levels: list[Any] = []

    class Watch:
        def on_decision(self, decision: Any) -> None:
            stored = router.store.load(decision.session_id)
            levels.append((decision.hit is not None, None if stored is None or stored.tag is None else stored.tag.level))

        def on_outcome(self, *_: Any) -> None: ...

    router.observers = (Watch(),)
    for name in ("a", "b"):
        await model.ainvoke([labelled(HumanMessage("What are your opening hours?"), SECRET)], {"configurable": {"thread_id": name}})
    assert levels == [(False, Level.CONFIDENTIAL), (True, Level.CONFIDENTIAL)]


def summing_agent(stage: Stage, **metadata: Any) -> Any:
    """Return an agent whose history is summed up by a routed model."""
    summing = SessionRouterChatModel(router=governed(stage), principal="ada", metadata=metadata)
    return create_agent(
        model=stage.chat(),
        tools=[read_patient, opening_hours],
        middleware=[
            SummarizationMiddleware(model=summing, trigger=("messages", 4), keep=("messages", 1)),
            SessionRouterMiddleware(governed(stage, scorer=RestlessScorer(start=1)), principal="ada"),
        ],
        checkpointer=InMemorySaver(),
    )


async def test_what_is_to_be_summed_up_is_unlabelled_though_it_stands_in_a_text_of_a_human(astage: Stage) -> None:
    """What humans type is public here. The one text that a summary is asked for with holds the whole history."""
    with pytest.raises(NoClearedModel):
        await talk(summing_agent(astage), astage, "the file please", "the hours please")
    assert leaks(astage) == 0


async def test_what_is_to_be_summed_up_has_the_label_that_its_call_is_given(astage: Stage) -> None:
    subject = summing_agent(astage, **{TAG_KEY: tag_to_plain(SECRET)})
    history = await talk(subject, astage, "the file please", "the hours please")
    assert {prompt.model for prompt in astage.witness.prompts if "Context Extraction" in repr(prompt.turns)} == {"sim-claude"}
    assert leaks(astage) == 0
    assert history[-1].text


@pytest.mark.parametrize("changed", [True, False])
async def test_a_result_that_loses_its_label_in_place_still_reaches_cleared_models_only(astage: Stage, changed: bool) -> None:
    """Somebody tidies up what stands beside messages, on the very objects that were read."""
    router = governed(astage, sources=TOOLS_ARE_PUBLIC, scorer=RestlessScorer(start=1))
    model = SessionRouterChatModel(router=router, principal="ada")
    asked = labelled(AIMessage("", tool_calls=[{"name": "gone", "args": {}, "id": "c1"}]), Tag())
    result = ToolMessage(MARK, tool_call_id="c1", name="gone")
    result.additional_kwargs[TAG_KEY] = tag_to_plain(SECRET)
    history = [HumanMessage("the file"), asked, result]
    if changed:
        await model.ainvoke(history)
    result.additional_kwargs.clear()
    for number in range(3):
        await model.ainvoke([*history, labelled(AIMessage("well"), Tag()), HumanMessage(f"hello {number}")])
    # Where nobody had read it before, nobody can know what it bore.
    assert (leaks(astage) == 0) == changed
