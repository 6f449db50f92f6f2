"""The router among LangChain's own middleware: summaries, trimming, fallbacks, retries, prompt caching."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import openai
import pytest
from langchain.agents.middleware import (
    AgentMiddleware,
    ModelFallbackMiddleware,
    ModelResponse,
    ModelRetryMiddleware,
    SummarizationMiddleware,
    ToolRetryMiddleware,
)
from langchain_anthropic.middleware import AnthropicPromptCachingMiddleware
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage, SystemMessage
from langgraph.graph.message import REMOVE_ALL_MESSAGES

from session_router.core.session_row import session_from_plain
from session_router.testing.providers import Fault
from session_router_langchain import SessionRouterChatModel, SessionRouterMiddleware
from support.agents import ANSWERS_AS, CHAT, CLAUDE, DIALECTS, RESPONSES, THREAD, Stage, agent_of, asks, authors, call, session_in

if TYPE_CHECKING:
    from session_router.core.call import Outcome
    from session_router.core.decision import Decision

LOOP = {"loop": [asks(call("weather", city="Rome")), asks(call("clock", city="Rome"), call("weather", city="Pisa")), "Done."]}


class Log:
    """Keeps every decision, and what came of it."""

    def __init__(self) -> None:
        self.decisions: list[Decision] = []
        self.outcomes: list[Outcome] = []

    def on_decision(self, decision: Decision) -> None:
        self.decisions.append(decision)

    def on_outcome(self, decision: Decision, outcome: Outcome) -> None:
        del decision
        self.outcomes.append(outcome)


@pytest.mark.parametrize("start", range(len(DIALECTS)), ids=DIALECTS)
def test_a_summary_makes_prefixes_worthless_and_moves_no_lock(stage: Stage, start: int) -> None:
    stage.witness.script = {**LOOP, "Context Extraction": ["They spoke of the weather."]}
    log = Log()
    router = SessionRouterMiddleware(stage.router(observers=[log]))
    # The summary is written by a routed model, in the middle of loops too: its calls are marked as internal.
    writer = SessionRouterChatModel(router=router.router)
    agent = agent_of(stage, SummarizationMiddleware(writer, trigger=("messages", 8), keep=("messages", 3)), router=router)
    for _ in range(start):
        router.router.scorer.score(None, router.router.models)
    for turn in range(6):
        messages = agent.invoke({"messages": [HumanMessage(f"loop number {turn}")]}, THREAD)["messages"]
        stage.assert_sound(messages, session=session_in(agent))
    internal = [decision for decision in log.decisions if decision.internal]
    assert len(internal) >= 2
    assert any(message.additional_kwargs.get("lc_source") == "summarization" for message in messages)
    # Nothing that was read before a summary counts as cached after it.
    after = [after for before, after in zip(log.decisions, log.decisions[1:], strict=False) if before.internal and not after.internal]
    assert after
    assert all(candidate.cached == 0 for decision in after for candidate in decision.evidence.candidates)


@pytest.mark.parametrize("start", range(len(DIALECTS)), ids=DIALECTS)
def test_a_summary_inside_a_loop_keeps_the_loop_with_its_asker(stage: Stage, start: int) -> None:
    stage.witness.script = {
        "Context Extraction": ["They spoke of the weather."],
        # The summary stands where the user's text was: the loop goes on behind it.
        "summary": ["Done."],
        "go": [asks(call("weather", city="Rome")), asks(call("clock", city="Rome"))],
    }
    agent = agent_of(stage, SummarizationMiddleware(stage.chat("sim-chat-2"), trigger=("messages", 5), keep=("messages", 2)), start=start)
    messages = agent.invoke({"messages": [HumanMessage("go")]}, THREAD)["messages"]
    assert [message.type for message in messages] == ["human", "ai", "tool", "ai"]
    stage.assert_sound(messages, session=session_in(agent))
    assert len(set(authors(messages))) == 1


class Trimming(AgentMiddleware):
    """Keeps the last two messages and what the user said first, as naive trimming does: a result may lose its call."""

    def before_model(self, state: Any, runtime: Any) -> dict[str, Any] | None:
        del runtime
        messages = state["messages"]
        if len(messages) <= 4:
            return None
        return {"messages": [RemoveMessage(id=REMOVE_ALL_MESSAGES), messages[0], *messages[-2:]]}


@pytest.mark.parametrize("start", range(len(DIALECTS)), ids=DIALECTS)
def test_trimming_that_cuts_a_loop_in_two(stage: Stage, start: int) -> None:
    two = asks(call("clock", city="Rome"), call("weather", city="Pisa"))
    stage.witness.script = {"loop": [two], "clock answered": [two, "Done."], "weather answered": ["Done."]}
    agent = agent_of(stage, Trimming(), start=start)
    for turn in range(3):
        agent.invoke({"messages": [HumanMessage(f"loop {turn}")]}, THREAD)
        stage.assert_sound(session=session_in(agent))


@pytest.mark.parametrize("start", range(len(DIALECTS)), ids=DIALECTS)
def test_the_lock_follows_the_model_that_a_fallback_inside_the_router_found(stage: Stage, start: int) -> None:
    stage.witness.script = LOOP
    fallback = ModelFallbackMiddleware(stage.claude("sim-claude-2"))
    routes = {"claude-2": stage.claude("sim-claude-2"), **stage.routes()}
    agent = agent_of(stage, fallback, routes=routes, start=start + 1)
    chosen = [stage.chat().model_name, stage.responses().model_name, stage.claude().model][start]
    stage.providers.faults.next(Fault.overloaded(), model=chosen)
    messages = agent.invoke({"messages": [HumanMessage("loop")]}, THREAD)["messages"]
    assert set(authors(messages)) == {"sim-claude-2"}
    assert stage.witness.moved == []
    assert [status for _, status, _ in stage.refused] == [529 if chosen == "sim-claude" else 503]
    assert session_in(agent)["current"] == "claude-2"
    assert session_in(agent)["switches"] == 0


@pytest.mark.parametrize("start", range(len(DIALECTS)), ids=DIALECTS)
def test_a_loop_that_a_stranger_began_is_carried_to_the_chosen_model(stage: Stage, start: int) -> None:
    stage.witness.script, stage.witness.in_order = LOOP, True
    agent = agent_of(stage, ModelFallbackMiddleware(stage.claude("sim-claude-2")), start=start)
    chosen = ["sim-chat", "sim-responses", "sim-claude"][start]
    stage.providers.faults.next(Fault.overloaded(), model=chosen)
    for _ in range(2):
        messages = agent.invoke({"messages": [HumanMessage("loop")]}, THREAD)["messages"]
    # The fallback's model is no route: nobody can keep the loop there. What it signed goes nowhere else.
    assert authors(messages)[:2] == ["sim-claude-2", ANSWERS_AS[DIALECTS[start]]]
    assert [status for _, status, _ in stage.refused] == [529 if chosen == "sim-claude" else 503]
    assert [message.response_metadata["session_router"]["model"] for message in messages[1:4:2]] == [None, DIALECTS[start]]
    assert session_in(agent)["lock"] is None


def test_the_routers_own_fallback_takes_the_next_candidate_at_a_boundary(stage: Stage) -> None:
    stage.witness.script = LOOP
    agent = agent_of(stage)
    stage.providers.faults.next(Fault.rate_limited(), model="sim-chat")
    messages = agent.invoke({"messages": [HumanMessage("loop")]}, THREAD)["messages"]
    assert ANSWERS_AS[CHAT] not in authors(messages)
    assert len(set(authors(messages))) == 1
    assert stage.witness.moved == []
    stamps = [message.response_metadata["session_router"]["reason"] for message in messages if isinstance(message, AIMessage)]
    assert stamps == ["fallback", "locked", "locked"]


def test_under_a_lock_the_error_goes_up_and_the_loop_can_be_taken_up_again(stage: Stage) -> None:
    stage.witness.script = LOOP
    agent = agent_of(stage)
    stage.providers.faults.next(Fault.slow(0.0), model="sim-chat")
    stage.providers.faults.next(Fault.overloaded(), model="sim-chat")
    with pytest.raises(openai.InternalServerError):
        agent.invoke({"messages": [HumanMessage("loop")]}, THREAD)
    messages = agent.invoke(None, THREAD)["messages"]
    assert set(authors(messages)) == {ANSWERS_AS[CHAT]}
    assert stage.witness.moved == []
    assert session_in(agent)["lock"] is None


@pytest.mark.parametrize("outside", [True, False])
def test_retries_outside_and_inside_keep_the_asker(stage: Stage, outside: bool) -> None:
    stage.witness.script = LOOP
    retry = ModelRetryMiddleware(max_retries=2, initial_delay=0.0, jitter=False, on_failure="error")
    router = SessionRouterMiddleware(stage.router())
    order = [retry, router] if outside else [router, retry]
    agent = agent_of(stage, middleware=order)
    stage.providers.faults.next(Fault.slow(0.0), model="sim-chat")
    stage.providers.faults.next(Fault.overloaded(), model="sim-chat", times=2)
    messages = agent.invoke({"messages": [HumanMessage("loop")]}, THREAD)["messages"]
    assert set(authors(messages)) == {ANSWERS_AS[CHAT]}
    assert stage.witness.moved == []
    assert len(stage.refused) == 2
    assert session_in(agent)["lock"] is None
    assert session_in(agent)["switches"] == 0


class Nameless(AgentMiddleware):
    """Takes the model's name off every answer, as chat models do that do not say who they are."""

    def wrap_model_call(self, request: Any, handler: Any) -> Any:
        response = handler(request)
        for message in response.result:
            del message.response_metadata["model_name"]
        return response


@pytest.mark.parametrize("is_route", [True, False])
def test_a_fallback_to_a_model_that_does_not_name_itself_keeps_its_loop(stage: Stage, is_route: bool) -> None:
    stage.witness.script, stage.witness.in_order = LOOP, True
    routes = {CHAT: stage.chat(), **({"chat-2": stage.chat("sim-chat-2")} if is_route else {})}
    fallback = ModelFallbackMiddleware(stage.chat("sim-chat-2"))
    agent = agent_of(stage, fallback, Nameless(), routes=routes)
    stage.providers.faults.next(Fault.overloaded(), model="sim-chat")
    messages = agent.invoke({"messages": [HumanMessage("loop")]}, THREAD)["messages"]
    first, *others = [message.response_metadata["session_router"]["model"] for message in messages if isinstance(message, AIMessage)]
    # What is no route cannot keep the loop, and is not taken for the model that was chosen.
    assert (first, set(others)) == (("chat-2", {"chat-2"}) if is_route else (None, {CHAT}))
    assert bool(stage.witness.moved) != is_route


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
@pytest.mark.parametrize("known", ["by sight", "by its address"])
async def test_a_fallback_to_another_account_of_the_same_model_keeps_its_loop(astage: Stage, known: str, way: str) -> None:
    """The provider calls both by one name: who was asked says which of them answered."""
    stage = astage
    stage.witness.script, stage.witness.in_order = LOOP, True
    elsewhere = {"base_url": stage.providers.openai_base_url.replace("127.0.0.1", "localhost")}
    routes = {"eu": stage.chat(), "us": stage.chat(**elsewhere)}
    fallback = ModelFallbackMiddleware(routes["us"] if known == "by sight" else stage.chat(**elsewhere))
    agent = agent_of(stage, fallback, routes=routes)
    stage.providers.faults.next(Fault.overloaded(), model="sim-chat")
    given: Any = ({"messages": [HumanMessage("loop")]}, THREAD)
    messages = (agent.invoke(*given) if way == "invoke" else await agent.ainvoke(*given))["messages"]
    assert [message.response_metadata["session_router"]["model"] for message in messages if isinstance(message, AIMessage)] == ["us"] * 3
    assert session_in(agent)["current"] == "us"


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
async def test_a_failure_that_a_retry_tells_as_an_answer_is_nobody_s_answer(astage: Stage, way: str) -> None:
    stage = astage
    stage.witness.script, log = LOOP, Log()
    router = SessionRouterMiddleware(stage.router(observers=[log]))
    # It goes on by default: the error becomes a message.
    agent = agent_of(stage, ModelRetryMiddleware(max_retries=1, initial_delay=0.0, jitter=False), router=router)
    stage.providers.faults.next(Fault.slow(0.0), model="sim-chat")
    stage.providers.faults.next(Fault.overloaded(), model="sim-chat", times=2)
    for text in ("loop", "loop again"):
        given = {"messages": [HumanMessage(text)]}
        messages = (await agent.ainvoke(given, THREAD) if way == "ainvoke" else agent.invoke(given, THREAD))["messages"]
        if text == "loop":
            assert messages[-1].text.startswith("Model call failed after 2 attempts")
            assert messages[-1].response_metadata["session_router"]["model"] is None
            assert session_in(agent)["visits"][CHAT][0] == 1
    assert stage.witness.moved == []
    assert session_in(agent)["lock"] is None
    told = [(outcome.model, None if outcome.failure is None else outcome.failure.kind.value) for outcome in log.outcomes]
    assert told[:2] == [(CHAT, None), (None, "overloaded")]
    assert None not in [model for model, _ in told[2:]]


class Canned(AgentMiddleware):
    """Answers by itself, and asks nobody."""

    def wrap_model_call(self, request: Any, handler: Any) -> Any:  # noqa: ARG002 -- signature of the base
        return ModelResponse(result=[AIMessage("We are closed.")])


def test_what_middleware_answers_itself_is_no_model_s_answer(stage: Stage) -> None:
    log = Log()
    agent = agent_of(stage, Canned(), router=SessionRouterMiddleware(stage.router(observers=[log])))
    answer = agent.invoke({"messages": [HumanMessage("hi")]}, THREAD)["messages"][-1]
    assert stage.asked == []
    assert (answer.text, answer.response_metadata["session_router"]["model"]) == ("We are closed.", None)
    assert [(outcome.model, outcome.error) for outcome in log.outcomes] == [(None, "NotAsked")]
    assert session_in(agent)["visits"] == {}


class Unseen(AgentMiddleware):
    """Calls a model that does not name itself, in a thread that knows nothing of whoever started it."""

    def wrap_model_call(self, request: Any, handler: Any) -> Any:
        with ThreadPoolExecutor() as threads:
            response = threads.submit(handler, request).result()
        for message in response.result:
            del message.response_metadata["model_name"]
        return response


def test_a_call_that_nobody_was_seen_to_make_is_the_chosen_model_s(stage: Stage) -> None:
    stage.witness.script = LOOP
    agent = agent_of(stage, Unseen(), routes={CHAT: stage.chat(), "chat-2": stage.chat("sim-chat-2")})
    for _ in range(2):
        agent.invoke({"messages": [HumanMessage("loop")]}, THREAD)
        assert stage.witness.moved == []
        assert session_in(agent)["lock"] is None


def test_retries_of_tools_are_no_calls_of_models(stage: Stage) -> None:
    stage.witness.script = LOOP
    agent = agent_of(stage, ToolRetryMiddleware(max_retries=1, initial_delay=0.0, jitter=False))
    messages = agent.invoke({"messages": [HumanMessage("loop")]}, THREAD)["messages"]
    stage.assert_sound(messages, session=session_in(agent))


def test_cache_markers_reach_anthropic_and_nobody_else(stage: Stage) -> None:
    stage.witness.script = dict(LOOP.items())
    agent = agent_of(stage, AnthropicPromptCachingMiddleware(unsupported_model_behavior="ignore"), system_prompt="Be brief. " * 1_500)
    for _ in range(6):
        messages = agent.invoke({"messages": [HumanMessage("loop")]}, THREAD)["messages"]
        stage.assert_sound(messages, session=session_in(agent))
    written = {row.model: row.cache_written for row in stage.providers.ledger.rows if row.cache_written}
    assert set(written) == {"sim-claude"}


def test_cache_markers_of_the_application_are_taken_off_for_others(stage: Stage) -> None:
    stage.witness.script = LOOP
    marked = SystemMessage([{"type": "text", "text": "Be brief. " * 1_500, "cache_control": {"type": "ephemeral"}}])
    agent = agent_of(stage, system_prompt=marked, start=DIALECTS.index(CLAUDE))
    for _ in range(3):
        user = HumanMessage([{"type": "text", "text": "loop", "cache_control": {"type": "ephemeral"}}])
        messages = agent.invoke({"messages": [user]}, THREAD)["messages"]
        stage.assert_sound(messages, session=session_in(agent))
    assert {row.model for row in stage.providers.ledger.rows if row.cache_written} == {"sim-claude"}
    assert len(set(authors(messages))) == 3


def test_visits_are_what_the_providers_counted(stage: Stage) -> None:
    stage.witness.script = LOOP
    agent = agent_of(stage, system_prompt="Be brief. " * 1_500)
    for _ in range(3):
        agent.invoke({"messages": [HumanMessage("loop")]}, THREAD)
    session = session_from_plain(session_in(agent))
    assert set(session.visits) == {CHAT, RESPONSES, CLAUDE}
    last = {row.model: row.uncached_input + row.cached_input + row.cache_written for row in stage.providers.ledger.rows}
    assert {name: visit.tokens for name, visit in session.visits.items()} == {
        CHAT: last["sim-chat"],
        RESPONSES: last["sim-responses"],
        CLAUDE: last["sim-claude"],
    }
