"""Two runs of one thread at the same time: what the one has read moves no loop of the other, which has heard nothing of it."""

from __future__ import annotations

import contextvars
import threading
from typing import TYPE_CHECKING, Annotated, Any, Final

import pytest
from langchain.agents import create_agent
from langchain.tools import tool
from langchain_core.messages import HumanMessage, SystemMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.message import add_messages
from langgraph.prebuilt import ToolNode, tools_condition

from session_router import Clearance, ModelSpec, Policy, Prices, Router, Tag
from session_router.core.governance import Level
from session_router_langchain import SessionRouterChatModel, SessionRouterMiddleware
from session_router_langchain.tagging import labelled, tagged_tool
from session_router_langgraph import RouterState, create_router_node
from support.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable

PUBLIC, SECRET = Tag(), Tag(level=Level.CONFIDENTIAL)
THREAD: Final[Any] = {"configurable": {"thread_id": "a-thread"}}
POLICY: Final = Policy(sources={"system": PUBLIC, "human": PUBLIC, "schemas": PUBLIC})


class Works:
    """What the tool does while it runs: something else each time, oldest first."""

    def __init__(self) -> None:
        self.next: list[Callable[[], Any]] = []
        self.tool = tagged_tool(tool("work", description="Work.")(self._work), tag=PUBLIC)

    def _work(self) -> str:
        if self.next:
            self.next.pop(0)()
        return "worked"


def elsewhere(do: Callable[[], Any]) -> Callable[[], None]:
    """Do it as another request would, in a thread that knows nothing of this run."""

    def run() -> None:
        thread = threading.Thread(target=contextvars.Context().run, args=(do,))
        thread.start()
        thread.join()

    return run


def routed() -> Router:
    """Return a router with a cheap model that may see nothing, and a dear one that may see what is secret."""
    return Router(
        {
            "open": ModelSpec(model=Worker(name="open"), prices=Prices(input=0.01, output=0.01), clearance=Clearance()),
            "closed": ModelSpec(
                model=Worker(name="closed"),
                prices=Prices(input=100.0, output=100.0),
                clearance=Clearance(max_level=Level.CONFIDENTIAL),
            ),
        },
        policy=POLICY,
    )


def chat_model(router: Router, works: Works) -> Any:
    return create_agent(SessionRouterChatModel(router=router), tools=[works.tool], checkpointer=InMemorySaver())


def middleware(router: Router, works: Works) -> Any:
    model = router.models["open"].model
    return create_agent(model, tools=[works.tool], middleware=[SessionRouterMiddleware(router)], checkpointer=InMemorySaver())


def node(router: Router, works: Works) -> Any:
    class State(RouterState):
        messages: Annotated[list[Any], add_messages]

    graph: Any = StateGraph(State)
    graph.add_node("route", create_router_node(router, destinations={name: name for name in router.models}, tools=[works.tool]))
    graph.add_node("tools", ToolNode([works.tool]))
    graph.add_edge(START, "route")
    graph.add_edge("tools", "route")
    for name, spec in router.models.items():
        graph.add_node(name, lambda state, model=spec.model: {"messages": [model.invoke(state["messages"])]})
        graph.add_conditional_edges(name, tools_condition, ["tools", END])
    return graph.compile(checkpointer=InMemorySaver())


DOORS: Final = {"chat model": chat_model, "middleware": middleware, "router node": node}


def said(text: str, tag: Tag | None = None) -> dict[str, Any]:
    return {"messages": [HumanMessage(text) if tag is None else labelled(HumanMessage(text), tag)]}


def answered_by(state: Any) -> list[str]:
    """Return who answered since the user spoke last."""
    messages = state["messages"]
    last = max(at for at, one in enumerate(messages) if one.type == "human")
    return [one.response_metadata["model_name"] for one in messages[last:] if one.type == "ai"]


@pytest.mark.parametrize("door", DOORS)
def test_a_loop_stays_though_another_run_reads_what_its_model_may_not_see(door: str) -> None:
    router, works = routed(), Works()
    agent = DOORS[door](router, works)
    beside: list[Any] = []
    works.next = [elsewhere(lambda: beside.append(agent.invoke(said("What does the file say?", SECRET), THREAD)))]
    state = agent.invoke(said("Work on it."), THREAD)
    assert answered_by(beside[0]) == ["closed"] * 3
    # A node that calls its own model labels no answer, and shows nobody what it sends: what the session has read may be in it.
    assert answered_by(state) == (["open", "closed", "closed"] if door == "router node" else ["open"] * 3)


def test_what_another_session_of_the_graph_has_read_counts_in_mid_loop() -> None:
    """A tool that is declared harmless asks a model about what is not."""
    router, works = routed(), Works()
    works.next = [lambda: SessionRouterChatModel(router=router).invoke([labelled(HumanMessage("What does the file say?"), SECRET)])]
    assert answered_by(chat_model(router, works).invoke(said("Work on it."), THREAD)) == ["open", "closed", "closed"]


@pytest.mark.parametrize("door", ["chat model", "router node"])
def test_what_is_new_in_words_may_be_from_there(door: str) -> None:
    """The other run may have put what it read where whoever speaks next has it from."""
    router, works = routed(), Works()
    agent = DOORS[door](router, works)
    works.next = [elsewhere(lambda: agent.invoke(said("What does the file say?", SECRET), THREAD))]
    agent.invoke(said("Work on it."), THREAD)
    assert answered_by(agent.invoke(said("And now?"), THREAD)) == ["closed"] * 3


@pytest.mark.parametrize(
    "how", ["in the prompt", "behind the question", "in the answer", "in what the answer asks for", "in a setting", "in a result"]
)
def test_notes_that_a_loop_is_given_while_it_runs_are_as_secret_as_what_they_are_made_of(how: str) -> None:
    """The same session takes notes of what is secret in mid-loop, and goes on with them in words that say nothing of themselves."""
    router, works = routed(), Works()
    model = SessionRouterChatModel(router=router)
    notes: list[str] = []

    def ask(state: MessagesState) -> dict[str, Any]:
        history = state["messages"]
        if len(history) == 3:
            # Of what is no part of the history, and whose label the notes do not bear.
            notes.append(f"It says {model.invoke([labelled(HumanMessage('The file says so.'), SECRET)]).text!r}.")
        if not notes:
            return {"messages": [model.bind_tools([works.tool]).invoke([SystemMessage("Be brief."), *history])]}
        question, answer, *results = history
        prompt, settings = "Be brief.", dict[str, Any]()
        match how:
            case "in the prompt":
                prompt = f"Be brief. {notes[0]}"
            case "behind the question":
                question = question.model_copy(update={"content": f"Work on it. {notes[0]}"})
            case "in the answer":
                answer = answer.model_copy(update={"content": notes[0]})
            case "in what the answer asks for":
                answer = answer.model_copy(update={"tool_calls": [{**call, "args": {"for": notes[0]}} for call in answer.tool_calls]})
            case "in a setting":
                settings = {"stop": [notes[0]]}
            case _:
                results = [one.model_copy(update={"content": notes[0]}) for one in results]
        request = [SystemMessage(prompt), question, answer, *results]
        return {"messages": [model.bind_tools([works.tool]).invoke(request, **settings)]}

    graph: Any = StateGraph(MessagesState)
    graph.add_node("ask", ask)
    graph.add_node("tools", ToolNode([works.tool]))
    graph.add_edge(START, "ask")
    graph.add_conditional_edges("ask", tools_condition, ["tools", END])
    graph.add_edge("tools", "ask")
    state = graph.compile(checkpointer=InMemorySaver()).invoke(said("Work on it."), THREAD)
    assert answered_by(state) == ["open", "closed", "closed"]


@pytest.mark.parametrize("door", ["chat model", "router node"])
def test_a_question_that_is_asked_again_is_as_secret_as_before(door: str) -> None:
    """Its words say nothing of themselves: what they were taken for when they were asked first, they still are."""
    router, works = routed(), Works()
    agent = DOORS[door](router, works)
    agent.invoke(said("What does the file say?", SECRET), THREAD)
    first = agent.invoke({"messages": [HumanMessage("And now?", id="question")]}, THREAD)
    assert answered_by(first) == ["closed"] * 3
    before = next(
        one for one in agent.get_state_history(THREAD) if one.values["messages"][-1:] and one.values["messages"][-1].id == "question"
    )
    assert answered_by(agent.invoke(None, before.config)) == ["closed"] * 3
