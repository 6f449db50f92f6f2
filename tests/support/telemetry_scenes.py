"""Plays agents under one instrumentation of LangChain, and prints what was exported: `python telemetry_scenes.py NAME`.

Run in a process of its own: instrumentations patch LangChain, and not all of them can take that back.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from langchain.agents import create_agent
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from opentelemetry import context as contexts
from opentelemetry import propagate

from session_router import CacheRules, Clearance, ModelSpec, Policy, Prices, Router, SemanticCache, Tag
from session_router.core.governance import Level
from session_router.errors import NoClearedModel
from session_router.testing.providers import Fault
from session_router_langchain import SessionRouterChatModel, SessionRouterMiddleware, convert, repair, target_of
from session_router_langchain.tagging import tagged_tool
from session_router_langgraph import RouterState, create_router_node
from session_router_otel import session
from support.agents import TOOLS, RestlessScorer, Stage, asks, call, staged
from support.telemetry import Exported

if TYPE_CHECKING:
    from collections.abc import Callable

TRACEPARENT: Final = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
LOOP: Final = [asks(call("weather", city="Rome")), "Done."]
SECRET: Final = Tag(level=Level.CONFIDENTIAL)
sent: list[dict[str, str]] = []


@tool
def outgoing(city: str) -> str:
    """Ask a service outside."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    sent.append(carrier)
    return city


@tagged_tool(tag=SECRET)
@tool
def file(city: str) -> str:
    """Read what not every model may see."""
    return f"the file of {city}"


class State(MessagesState, RouterState):
    """What a user's graph would declare."""


def thread(name: str) -> Any:
    return {"configurable": {"thread_id": name}}


def typed(text: str = "go") -> Any:
    return {"messages": [HumanMessage(text)]}


class Scenes:
    """Every way to run an agent.

    Args:
        stage: The providers.
        router: Who routes, instrumented.
        exported: What was exported so far.
    """

    def __init__(self, stage: Stage, router: Router, exported: Exported) -> None:
        self.stage, self.router, self.exported = stage, router, exported
        stage.witness.script = {
            "go": LOOP,
            "out": [asks(call("outgoing", city="Rome")), "Out."],
            "file": [asks(call("file", city="Rome")), "Read."],
            "hours": ["From eight to six."],
        }

    def agent(self, **settings: Any) -> Any:
        settings = {"tools": [*TOOLS, outgoing, file], "checkpointer": InMemorySaver(), **settings}
        return create_agent(self.stage.chat(), middleware=[SessionRouterMiddleware(self.router)], **settings)

    def graph(self) -> Any:
        routes, graph = self.stage.routes(), StateGraph(State)
        graph.add_node("router", create_router_node(self.router, destinations={name: f"ask_{name}" for name in routes}, tools=TOOLS))
        for name, model in routes.items():
            graph.add_node(f"ask_{name}", self._asking(name, model))
            graph.add_conditional_edges(f"ask_{name}", tools_condition, ["tools", END])
        graph.add_node("tools", ToolNode(list(TOOLS)))
        graph.add_edge(START, "router")
        graph.add_edge("tools", "router")
        return graph.compile(checkpointer=InMemorySaver())

    def _asking(self, name: str, model: Any) -> Callable[[State], dict[str, Any]]:
        target, bound = target_of(name, model), model.bind_tools(list(TOOLS))

        def ask(state: State) -> dict[str, Any]:
            return {"messages": [bound.invoke(convert(repair(state["messages"]), target))]}

        return ask

    def invoke(self) -> None:
        self.agent().invoke(typed(), thread("invoke"))

    async def ainvoke(self) -> None:
        await self.agent().ainvoke(typed(), thread("ainvoke"))

    def stream(self) -> None:
        for _ in self.agent().stream(typed(), thread("stream"), stream_mode="messages"):
            pass

    async def astream(self) -> None:
        async for _ in self.agent().astream(typed(), thread("astream"), stream_mode="messages"):
            pass

    def threads(self) -> None:
        agent = self.agent()
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda name: agent.invoke(typed(), thread(name)), ["threads-1", "threads-2"]))

    async def tasks(self) -> None:
        agent = self.agent()
        await asyncio.gather(*(agent.ainvoke(typed(), thread(name)) for name in ("tasks-1", "tasks-2")))

    def node(self) -> None:
        self.graph().invoke(typed(), thread("node"))

    def subgraph(self) -> None:
        graph = StateGraph(MessagesState)
        graph.add_node("inner", self.agent(name="inner", checkpointer=None))
        graph.add_edge(START, "inner")
        graph.compile(checkpointer=InMemorySaver(), name="outer").invoke(typed(), thread("subgraph"))

    def switch(self) -> None:
        agent = self.agent()
        for _ in range(2):
            agent.invoke(typed(), thread("switch"))

    def cache_hit(self) -> None:
        agent = self.agent()
        for name in ("cache_hit-1", "cache_hit-2"):
            agent.invoke(typed("hours"), thread(name))

    def forced_switch(self) -> None:
        self.agent().invoke(typed("file"), thread("forced_switch"))

    def refuse(self) -> None:
        with contextlib.suppress(NoClearedModel):
            self.agent().invoke(typed(), thread("refuse"))

    def fallback(self) -> None:
        self.stage.providers.faults.next(Fault.overloaded())
        self.agent().invoke(typed(), thread("fallback"))

    def error(self) -> None:
        self.stage.providers.faults.next(Fault.overloaded(), times=10)
        with contextlib.suppress(Exception):
            self.agent().invoke(typed(), thread("error"))
        self.stage.providers.faults.clear()

    async def cancellation(self) -> None:
        self.stage.providers.faults.next(Fault.slow(30.0))
        task = asyncio.create_task(self.agent().ainvoke(typed(), thread("cancellation")))
        while self.stage.providers.faults._planned:  # noqa: ASYNC110 -- the provider knows of no event loop
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    def model(self) -> None:
        model: Any = SessionRouterChatModel(router=self.router)
        model.invoke([HumanMessage("go")], thread("model"))

    def named(self) -> None:
        with session("named"):
            SessionRouterChatModel(router=self.router).invoke([HumanMessage("go")])

    def w3c(self) -> None:
        token = contexts.attach(propagate.extract({"traceparent": TRACEPARENT}))
        try:
            self.agent().invoke(typed("out"), thread("w3c"))
        finally:
            contexts.detach(token)


SCENES: Final = (
    "invoke",
    "ainvoke",
    "stream",
    "astream",
    "threads",
    "tasks",
    "node",
    "subgraph",
    "switch",
    "cache_hit",
    "forced_switch",
    "refuse",
    "fallback",
    "error",
    "cancellation",
    "model",
    "named",
    "w3c",
)


def router_of(stage: Stage, scene: str) -> Router:
    """Return who routes in a scene."""
    if scene == "cache_hit":
        return stage.router({"chat": stage.chat()}, policy=Policy(cache=CacheRules(sharing="tenant")), cache=SemanticCache())
    if scene not in {"forced_switch", "refuse"}:
        return stage.router(scorer=RestlessScorer())
    prices = Prices(input=1.0, output=4.0)
    routes = {
        "chat": ModelSpec(model=stage.chat(), prices=prices, clearance=Clearance()),
        "claude": ModelSpec(model=stage.claude(thinking=None), prices=prices, clearance=Clearance(max_level=Level.CONFIDENTIAL)),
    }
    # Where nothing is labelled, nobody may see it.
    sources: Any = {} if scene == "refuse" else {name: Tag() for name in ("system", "human", "schemas")}
    return Router(routes, policy=Policy(stake=1.0, margin=0.0, sources=sources), scorer=RestlessScorer())


def instrumentor(name: str) -> Any:
    """Return the instrumentation; `None` for none."""
    if name == "openinference":
        from openinference.instrumentation.langchain import LangChainInstrumentor

        return LangChainInstrumentor()
    if name == "genai":
        from opentelemetry.instrumentation.genai.langchain import LangChainInstrumentor as GenAI

        return GenAI()
    if name == "traceloop":
        from opentelemetry.instrumentation.langchain import LangchainInstrumentor

        return LangchainInstrumentor()
    return None


def plain(span: Any) -> dict[str, Any]:
    return {
        "name": span.name,
        "scope": span.instrumentation_scope.name,
        "id": span.context.span_id,
        "trace": f"{span.context.trace_id:032x}",
        "parent": None if span.parent is None else span.parent.span_id,
        "start": span.start_time,
        "end": span.end_time,
        "attributes": dict(span.attributes or {}),
        "events": [event.name for event in span.events],
        "status": span.status.status_code.name,
    }


def main(name: str) -> None:
    """Play every scene and print its spans."""
    exported, other = Exported(), instrumentor(name)
    if other is not None:
        other.instrument(tracer_provider=exported.tracers, meter_provider=exported.meters)
    found: dict[str, Any] = {}
    with staged() as stage:
        for scene in SCENES:
            stage.clear()
            exported.spans_exporter.clear()
            here = stage.on_a_loop_of_its_own()
            router = router_of(here, scene)
            with exported.of(router):
                asyncio.run(played(Scenes(here, router, exported), scene))
            found[scene] = [plain(span) for span in exported.spans]
    labels = sorted({label for points in exported.points().values() for labels, _ in points for label in map(str, labels.values())})
    print(json.dumps({"scenes": found, "metrics": exported.scopes(), "labels": labels, "sent": sent}))  # noqa: T201 -- whoever started the process reads it


async def played(scenes: Scenes, name: str) -> None:
    act = getattr(scenes, name)
    if asyncio.iscoroutinefunction(act):
        await act()
        await scenes.stage.aclose()
    else:
        # In a thread without a loop, as a synchronous program has it.
        await asyncio.to_thread(act)


if __name__ == "__main__":
    main(sys.argv[1])
