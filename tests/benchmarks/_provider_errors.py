"""Random agents on strict provider simulators: how many requests do providers refuse, with locks and without?

Usage: `python tests/benchmarks/_provider_errors.py [--quick]`; `locks.py` prints the same figures.

Each session is an agent of `create_agent` with two to six routes over three APIs: OpenAI Chat Completions, OpenAI
Responses (items stored, or sealed), Anthropic Messages with signed thinking. Its turns are drawn from a seed: tool loops,
parallel calls, tools that fail, tools that raise and leave their calls behind, malformed arguments, the providers' own
searches, notifications inside a loop; invoked or streamed. The scorer wants another model at every call. The same
sessions run a second time under a middleware that takes the next model at every call and sends the history as it is.
"""

from __future__ import annotations

import random
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import anthropic
import openai
from _figure import figure, say
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, ToolErrorMiddleware
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver

from session_router.testing.providers import Reply, WebSearch
from session_router_langchain import SessionRouterMiddleware
from support.agents import NaiveSwitching, RestlessScorer, asks, call, clock, moves_in_loops, staged, weather

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from langchain.agents.middleware import ModelRequest, ModelResponse
    from langchain_core.language_models import BaseChatModel

    from support.agents import Stage

SEED = 20_260
SESSIONS = 240
SESSIONS_QUICK = 40
STEPS = 40  # of a graph; no turn needs as many
SHARE_OF_HABITS = 0.25  # of turns: raising tools, malformed arguments, notifications
CITIES = ("Rome", "Oslo", "Lima", "Bonn", "Kyiv")


class Raised(Exception):
    """What the tool `vault` raises; a run ends with it."""


@tool
def shaky(city: str) -> str:
    """Fail, in a way that the agent reports to the model."""
    raise ValueError(city)


@tool
def vault(city: str) -> str:
    """Fail, in a way that ends the run."""
    raise Raised(city)


TOOLS = [weather, clock, shaky, vault]


class Notifier(AgentMiddleware):
    """Says something in a loop that no human has typed, at the turns whose text asks for it."""

    def before_model(self, state: Any, runtime: Any) -> dict[str, Any] | None:
        """Add a notification behind tool results."""
        del runtime
        typed = next((m.text for m in reversed(state["messages"]) if isinstance(m, HumanMessage) and not m.additional_kwargs), "")
        if not isinstance(state["messages"][-1], ToolMessage) or "notify" not in typed:
            return None
        return {"messages": [HumanMessage("A task has finished.", additional_kwargs={"lc_source": "notification"})]}


class NativeSearch(AgentMiddleware):
    """Offers each model its provider's own search."""

    def wrap_model_call(self, request: ModelRequest, handler: Callable[[ModelRequest], ModelResponse]) -> ModelResponse:
        """Add the tool that the chosen model's provider runs."""
        own: dict[str, Any] | None = None
        if isinstance(request.model, ChatAnthropic):
            own = {"type": "web_search_20250305", "name": "web_search"}
        elif isinstance(request.model, ChatOpenAI) and request.model.use_responses_api:
            own = {"type": "web_search"}
        return handler(request if own is None else request.override(tools=[*request.tools, own]))


@dataclass(frozen=True, slots=True)
class Plan:
    """One session, drawn from the seed.

    Attributes:
        number: Which one.
        routes: Names of its models, in order.
        turns: What the user types.
        script: What the models answer, by what the user types.
        streamed: Whether the agent is streamed.
    """

    number: int
    routes: list[str]
    turns: list[str]
    script: Mapping[str, list[Any]]
    streamed: bool


@dataclass
class Count:
    """What became of all sessions under one middleware."""

    requests: int = 0
    refused: int = 0
    moved: int = 0
    failed_otherwise: int = 0
    messages: set[str] = field(default_factory=set)


def routes_of(stage: Stage) -> dict[str, BaseChatModel]:
    """Return two models of each API, of which none can read what the other sealed."""
    sealed = {"store": False, "include": ["reasoning.encrypted_content"], "reasoning": {"summary": "auto"}}
    return {
        "chat": stage.chat(),
        "chat-2": stage.chat("sim-chat-2"),
        "stored": stage.responses(),
        "sealed": stage.responses("sim-responses-2", **sealed),
        "claude": stage.claude(),
        "claude-2": stage.claude("sim-claude-2"),
    }


def plan(number: int, names: list[str]) -> Plan:
    """Draw one session."""
    chance = random.Random(f"{SEED} {number}")
    turns: list[str] = []
    script: dict[str, list[Any]] = {}
    for turn in range(chance.randint(2, 6)):
        notify = "notify " if chance.random() < SHARE_OF_HABITS else ""
        text = f"{notify}turn {number:04d}-{turn:02d}"
        turns.append(text)
        script[text] = _replies(chance)
        if notify:
            script["A task has finished."] = ["Good to know."] * 9
    return Plan(number, chance.sample(names, chance.randint(2, len(names))), turns, script, chance.random() < 0.5)


def _replies(chance: random.Random) -> list[Any]:
    replies: list[Any] = []
    for _ in range(chance.randint(0, 3)):
        names = chance.choices(["weather", "clock", "shaky"], weights=[5, 4, 1], k=chance.randint(1, 3))
        calls = [call(name, city=chance.choice(CITIES)) for name in names]
        if chance.random() < SHARE_OF_HABITS:
            calls[-1] = call("weather", malformed='{"city": "Ro', city="Rome")
        searches = (WebSearch(query="cities"),) if chance.random() < SHARE_OF_HABITS else ()
        replies.append(asks(*calls, text=chance.choice(["", "Let me see."]), searches=searches))
    if chance.random() < SHARE_OF_HABITS:
        replies.append(asks(call("vault", city="Rome"), call("weather", city="Oslo")))
    redacted = chance.random() < SHARE_OF_HABITS
    return [*replies, Reply(text="Done.", thinking="That is all.", redact_thinking=redacted)]


def play(stage: Stage, one: Plan, middleware: AgentMiddleware, count: Count) -> None:
    """Run one session. A turn that a provider refuses ends its thread; the next one begins anew."""
    stage.witness.script = one.script
    chain = [
        middleware,
        NativeSearch(),
        Notifier(),
        ToolErrorMiddleware(lambda error, _: "failed" if isinstance(error, ValueError) else None),
    ]
    agent: Any = create_agent(stage.chat(), tools=TOOLS, middleware=chain, checkpointer=InMemorySaver())
    thread = 0
    for text in one.turns:
        config = {"configurable": {"thread_id": f"{one.number} {thread}"}, "recursion_limit": STEPS}
        given = {"messages": [HumanMessage(text)]}
        try:
            if one.streamed:
                for _ in agent.stream(given, config, stream_mode="messages"):
                    pass
            else:
                agent.invoke(given, config)
        except Raised:
            pass
        except (openai.APIStatusError, anthropic.APIStatusError) as error:
            count.messages.add(str(error.message)[:100])
            thread += 1
        except Exception as error:  # noqa: BLE001 -- a client that cannot even send a history counts, and the run goes on
            count.failed_otherwise += 1
            count.messages.add(f"{type(error).__name__}: {error}"[:100])
            thread += 1
        else:
            count.moved += len(moves_in_loops(agent.get_state(config).values["messages"]))


def counted(stage: Stage, plans: list[Plan], middleware_of: Callable[[Plan], AgentMiddleware]) -> Count:
    """Run every session under the middleware that is made for it."""
    count = Count()
    for one in plans:
        stage.clear()
        stage.witness.in_order = True
        play(stage, one, middleware_of(one), count)
        count.requests += len(stage.providers.ledger.rows)
        count.refused += stage.providers.ledger.bad_requests
        count.moved += len(stage.witness.moved)
    return count


def provider_errors(*, quick: bool) -> None:
    """Print the figures."""
    with staged() as stage:
        routes = routes_of(stage)
        plans = [plan(number, list(routes)) for number in range(SESSIONS_QUICK if quick else SESSIONS)]

        def routed(one: Plan) -> AgentMiddleware:
            chosen = {name: routes[name] for name in one.routes}
            return SessionRouterMiddleware(stage.router(chosen, scorer=RestlessScorer()))

        ours = counted(stage, plans, routed)
        naive = counted(stage, plans, lambda one: NaiveSwitching([routes[name] for name in one.routes]))
    for label, count in (("with locks", ours), ("without locks and portability", naive)):
        say(f"{label}: {count.requests:,} requests, {count.refused:,} refused, {count.moved:,} results read by a model that had not asked")
    for message in sorted(ours.messages):
        say(f"  {message}")
    note = f"{len(plans)} random sessions on strict simulators, a scorer that wants another model at every call"
    without: dict[str, float | None] = {"without_locks": naive.refused}
    figure("provider_4xx", ours.refused + ours.failed_otherwise, unit="count", n=ours.requests, target="== 0", peer=without, note=note)
    figure(
        "provider_4xx_without_locks", naive.refused, unit="count", n=naive.requests, target="> 0", note="the same sessions: the check bites"
    )
    figure("loops_that_moved", ours.moved, unit="count", n=ours.requests, target="== 0", peer={"without_locks": naive.moved})


if __name__ == "__main__":
    provider_errors(quick="--quick" in sys.argv[1:])
