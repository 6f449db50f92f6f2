"""What governance adds to whole runs of an agent with tools and a checkpointer: reading labels, asking the store, watching runs."""

from __future__ import annotations

import itertools
import statistics
import time
from dataclasses import dataclass
from typing import Any

from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver

from session_router import Clearance, ModelSpec, Policy, Prices, Router, Tag
from session_router.core.governance import PUBLIC, Level
from session_router_langchain import SessionRouterMiddleware, runs
from session_router_langchain.tagging import tagged_tool

TOOL_CALLS = 2
"""In one run, one after the other."""
TURNS = 4
"""Runs of one thread."""


class Caller(BaseChatModel):
    """Asks for a tool, and again, and then answers. It takes no time."""

    @property
    def _llm_type(self) -> str:
        return "caller"

    def bind_tools(self, tools: Any, **_: Any) -> Any:
        del tools
        return self

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **_: Any) -> ChatResult:
        del stop, run_manager
        since = sum(1 for _ in itertools.takewhile(lambda message: not isinstance(message, HumanMessage), reversed(messages)))
        call = {"name": "look_up", "args": {"what": str(since)}, "id": f"call_{len(messages)}"}
        said = AIMessage("", tool_calls=[call]) if since < 2 * TOOL_CALLS else AIMessage("done")
        said.response_metadata = {"model_name": self.name}
        return ChatResult(generations=[ChatGeneration(message=said)])


@dataclass(frozen=True)
class Way:
    """One way to run the same agent.

    Attributes:
        governed: Whether its models have clearances, and its tool a label.
        watched: Whether it is known which run was started in which.
    """

    governed: bool
    watched: bool


UNGOVERNED, UNWATCHED, GOVERNED = Way(governed=False, watched=False), Way(governed=True, watched=False), Way(governed=True, watched=True)


def run_micros(rounds: int) -> dict[Way, float]:
    """Return the processor's microseconds of one run of an agent, by the way it is run: medians over `rounds` threads, in turns."""
    agents = {way: _agent(way) for way in (UNGOVERNED, UNWATCHED, GOVERNED)}
    spent: dict[Way, list[float]] = {way: [] for way in agents}
    for number in range(-1, rounds):
        for way, agent in agents.items():
            # Whoever governs has all runs of a process watched; the others must not pay for it here.
            runs._watching.needed = way.watched
            config = {"configurable": {"thread_id": f"{number}"}}
            began = time.process_time()
            for turn in range(TURNS):
                agent.invoke({"messages": [HumanMessage(f"question {turn} of {number}")]}, config)
            # The first round imports and builds.
            if number >= 0:
                spent[way].append((time.process_time() - began) / TURNS * 1e6)
    return {way: statistics.median(all_of_it) for way, all_of_it in spent.items()}


def _agent(way: Way) -> Any:
    clearance = Clearance(max_level=Level.CONFIDENTIAL) if way.governed else None
    router = Router(
        {
            name: ModelSpec(model=Caller(name=f"sim-{name}"), clearance=clearance, prices=Prices(input=price, output=4 * price))
            for name, price in (("fast", 0.1), ("strong", 3.0))
        },
        policy=Policy(unlabelled=PUBLIC),
    )

    def look_up(what: str) -> str:
        return f"what is known of {what}"

    tools = [tool("look_up", description="Look something up.")(look_up)]
    if way.governed:
        tools = [tagged_tool(tools[0], tag=Tag(level=Level.CONFIDENTIAL))]
    middleware: list[Any] = [SessionRouterMiddleware(router)]
    return create_agent(Caller(name="sim-fast"), tools=tools, middleware=middleware, checkpointer=InMemorySaver())
