"""Agents whose sessions are exported to a real backend, and what it must show of them."""

from __future__ import annotations

import asyncio
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from session_router import CacheRules, Policy, SemanticCache
from session_router.testing.providers import Fault
from session_router_langchain import SessionRouterMiddleware
from session_router_otel import Exporting, instrument, uninstrument
from support.agents import TOOLS, RestlessScorer, Stage, asks, call

if TYPE_CHECKING:
    from collections.abc import Mapping

TURNS: Final = 3
DOLLARS: Final = {"input": 1.0, "output": 4.0}
"""A million tokens, of each model of the stage."""
REFUSED: Final = "What does your manager earn?"
"""Its answer is a refusal, which no cache keeps."""
LASTING: Final = "What are your opening hours?"
"""A question whose answer is."""


@dataclass(frozen=True)
class Happened:
    """What was true of the sessions.

    Attributes:
        sound: Sessions of agents with tools, by two threads and by asyncio.
        failing: One whose first call fell back, and which failed in the turn after the others.
        asked: One that asks two questions.
        repeated: One that asks the same; the second answer is the cache's.
        messages: What models and the cache said, by session.
        tokens: Of each kind, as the providers accounted them.
        saved: What the stored answer had cost, in US dollars, by the providers' account.
    """

    sound: tuple[str, ...]
    failing: str
    asked: str
    repeated: str
    messages: Mapping[str, list[AIMessage]]
    tokens: Mapping[str, int]
    saved: float

    @property
    def turns(self) -> dict[str, int]:
        """Return how many turns each session has."""
        return {**dict.fromkeys(self.sound, TURNS), self.failing: TURNS + 1, self.asked: 2, self.repeated: 2}

    def stamps(self, session: str) -> list[dict[str, Any]]:
        """Return what each message says of the decision that it answers."""
        return [message.response_metadata["session_router"] for message in self.messages[session]]

    def decisions(self, session: str) -> list[dict[str, Any]]:
        """Return what the decisions of a sound session must show, in order."""
        turns = [turn for turn in range(1, TURNS + 1) for _ in range(2)]
        locks = ["boundary", "tool_results_unread"] * TURNS
        return [
            {
                "session_router.turn.index": turn,
                "session_router.lock.state": lock,
                "session_router.model.selected": stamp["model"],
                "session_router.decision": stamp["decision"],
                "session_router.decision_id": stamp["decision_id"],
            }
            for turn, lock, stamp in zip(turns, locks, self.stamps(session), strict=True)
        ]

    def counted(self, session: str) -> dict[str, int]:
        """Return the tokens of a session, as its messages count them."""
        usages: list[Any] = [message.usage_metadata for message in self.messages[session]]
        return {kind: sum(usage[f"{kind}_tokens"] for usage in usages) for kind in ("input", "output")}


def happen(stage: Stage, providers: Exporting) -> Happened:
    """Play sessions that `providers` export, and shut these down."""
    here = stage.on_a_loop_of_its_own()
    here.witness.script = {
        "go": [asks(call("weather", city="Rome"), call("clock", city="Rome")), "Done."],
        REFUSED: ["I'm sorry, but I can't help with that."],
        LASTING: ["From eight to six."],
    }
    router = here.router(scorer=RestlessScorer())
    caching = here.router({"chat": here.chat()}, policy=Policy(cache=CacheRules(sharing="tenant")), cache=SemanticCache())
    for one in (router, caching):
        instrument(one, tracer_provider=providers.tracers)
    agent, asker = (
        create_agent(here.chat(), tools=list(TOOLS), middleware=[SessionRouterMiddleware(one)], checkpointer=InMemorySaver())
        for one in (router, caching)
    )

    def config(name: str) -> Any:
        return {"configurable": {"thread_id": name}}

    def typed(text: str) -> Any:
        return {"messages": [HumanMessage(text)]}

    going = [f"go {turn}" for turn in range(TURNS)]

    def play(name: str) -> Any:
        return [agent.invoke(typed(text), config(name)) for text in going][-1]

    def ask(name: str) -> Any:
        return [asker.invoke(typed(text), config(name)) for text in (REFUSED, LASTING)][-1]

    async def aplay(name: str) -> Any:
        return [await agent.ainvoke(typed(text), config(name)) for text in going][-1]

    async def all_at_once(names: list[str]) -> list[Any]:
        found = await asyncio.gather(*map(aplay, names))
        await here.aclose()
        return found

    *sound, failing, asked, repeated = (str(uuid.uuid4()) for _ in range(7))
    with ThreadPoolExecutor(2) as pool:
        results = dict(zip(sound[:2], pool.map(play, sound[:2]), strict=True))
    results |= dict(zip(sound[2:], asyncio.run(all_at_once(sound[2:])), strict=True))
    results[asked] = ask(asked)
    cost = here.providers.ledger.rows[-1]
    results[repeated] = ask(repeated)
    here.providers.faults.next(Fault.overloaded())
    results[failing] = play(failing)
    here.providers.faults.next(Fault.overloaded(), times=20)
    with pytest.raises(Exception, match=r"overloaded|Overloaded|503|529"):
        agent.invoke(typed("go 9"), config(failing))
    here.providers.faults.clear()
    for one in (router, caching):
        uninstrument(one)
    providers.shutdown()
    totals = here.providers.ledger.totals()
    return Happened(
        sound=tuple(sound),
        failing=failing,
        asked=asked,
        repeated=repeated,
        messages={name: [one for one in result["messages"] if isinstance(one, AIMessage)] for name, result in results.items()},
        tokens={"input": totals.uncached_input + totals.cached_input + totals.cache_written, "output": totals.output},
        saved=((cost.uncached_input + cost.cached_input + cost.cache_written) * DOLLARS["input"] + cost.output * DOLLARS["output"]) / 1e6,
    )
