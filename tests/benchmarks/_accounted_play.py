"""Agents of `create_agent` on strict simulators, routed, with every call in two books."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain_anthropic.middleware import AnthropicPromptCachingMiddleware
from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver

from benchmarks._accounted_calls import Memory, compared
from benchmarks._accounted_sessions import HANDBOOK, TOOLS
from session_router import ModelSpec, Prices, Router
from session_router.core.prefix import PromptCache
from session_router.testing.providers import Prices as BilledPrices
from session_router.testing.providers import SimulatedModel, serve
from session_router.testing.providers.prefix_cache import BLOCK_TOKENS, MINIMUM_TOKENS
from session_router_langchain import SessionRouterMiddleware
from support.agents import CHAT, CLAUDE, RESPONSES, Stage, Witness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from langchain.agents.middleware import ModelRequest, ModelResponse

    from benchmarks._accounted_calls import AccountedCall
    from benchmarks._accounted_sessions import Conversation
    from session_router import Decision
    from session_router.core.call import Call
    from session_router.testing.providers import Prompt, Reply

PRICES = {
    CHAT: Prices(input=1.25, cached_input=0.125, output=10.0),
    RESPONSES: Prices(input=2.0, cached_input=0.5, output=8.0),
    CLAUDE: Prices(input=3.0, cached_input=0.3, cache_write=3.75, output=15.0),
}
"""Assumed; the simulators bill the same."""

SKILLS = {CHAT: 0.35, RESPONSES: 0.6, CLAUDE: 0.9}
_AUTOMATIC = PromptCache(minimum_tokens=MINIMUM_TOKENS, block_tokens=BLOCK_TOKENS)
CACHES = {CHAT: _AUTOMATIC, RESPONSES: _AUTOMATIC, CLAUDE: PromptCache(minimum_tokens=MINIMUM_TOKENS)}
SECONDS_A_CALL = 4.0
HOURS_APART = 7_200.0  # seconds after which nothing of another session is cached any more
MOST_STEPS = 60  # of a graph; no turn needs as many


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Under what circumstances sessions are played.

    Attributes:
        inflated: Kinds of messages of which the providers count 1.5 tokens where we estimate one.
        marked: Whether Anthropic is told what to cache.
        apart: Seconds between two sessions.
    """

    inflated: tuple[type[BaseMessage], ...] = ()
    marked: bool = True
    apart: float = HOURS_APART


PLAIN = Condition()
EVERYTHING = (SystemMessage, HumanMessage, ToolMessage)


class WatchedRouter(Router):
    """A router that remembers what it was asked and what it decided."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.routed: list[tuple[Call, Decision]] = []

    def route(self, call: Call) -> Decision:
        """Route, and remember."""
        decision = super().route(call)
        self.routed.append((call, decision))
        return decision


class Inflating(AgentMiddleware):
    """Sends half as much again as the router has seen: as if the providers counted 1.5 tokens where we estimate one.

    Args:
        kinds: Of which messages.
    """

    def __init__(self, *kinds: type[BaseMessage]) -> None:
        super().__init__()
        self._kinds = kinds

    def wrap_model_call(self, request: ModelRequest, handler: Callable[[ModelRequest], ModelResponse]) -> ModelResponse:
        """Repeat the first half of every text."""
        messages = [self._inflated(message) for message in request.messages]
        return handler(request.override(messages=messages, system_message=self._inflated(request.system_message)))

    def _inflated(self, message: Any) -> Any:
        if not isinstance(message, self._kinds) or not isinstance(message.content, str):
            return message
        return message.model_copy(update={"content": message.content + message.content[: len(message.content) // 2]})


@contextmanager
def desk() -> Iterator[Stage]:
    """Serve one model of each API; each takes `SECONDS_A_CALL` by the simulated clock to answer."""
    witness = Witness()

    def answer(prompt: Prompt) -> Reply:
        served.clock.advance(SECONDS_A_CALL)
        return witness(prompt)

    models = [
        SimulatedModel(
            id=f"sim-{name}",
            provider="anthropic" if name == CLAUDE else "openai",
            dated_id=f"sim-{name}-2026-01-01",
            prices=_billed(prices),
            reasons=name == RESPONSES,
            behaviour=answer,
        )
        for name, prices in PRICES.items()
    ]
    with serve(models) as served:
        yield Stage(served, witness)


def _billed(prices: Prices) -> BilledPrices:
    assert prices.cached_input is not None
    write = prices.input if prices.cache_write is None else prices.cache_write
    return BilledPrices(input=prices.input, cached_input=prices.cached_input, cache_write=write, output=prices.output)


def router_on(stage: Stage, *names: str, **settings: Any) -> WatchedRouter:
    """Return a router over the models called `names` that goes by the simulated clock."""
    routes = {
        name: ModelSpec(model=model, prices=PRICES[name], skill=SKILLS[name], prompt_cache=CACHES[name])
        for name, model in stage.routes().items()
        if name in names
    }
    return WatchedRouter(routes, clock=stage.providers.clock, **settings)


def played(stage: Stage, router: WatchedRouter, sessions: Sequence[Conversation], condition: Condition = PLAIN) -> list[AccountedCall]:
    """Play `sessions`, each with an agent of its own.

    Returns:
        Every call, in order.
    """
    middleware: list[Any] = [SessionRouterMiddleware(router), Inflating(*condition.inflated)]
    if condition.marked:
        middleware.append(AnthropicPromptCachingMiddleware(unsupported_model_behavior="ignore"))
    calls: list[AccountedCall] = []
    memory = Memory()
    for one in sessions:
        stage.clear()
        router.routed.clear()
        _talk(stage, one, middleware)
        assert stage.refused == []
        for (call, decision), row in zip(router.routed, stage.providers.ledger.rows, strict=True):
            assert row.model == f"sim-{decision.model}"
            calls.append(compared(router, call, decision, row, session=one.number, memory=memory))
            memory.learn(call, decision.chosen(), row, at=row.time + SECONDS_A_CALL)
        stage.providers.clock.advance(condition.apart)
    return calls


def _talk(stage: Stage, one: Conversation, middleware: Sequence[Any]) -> None:
    stage.witness.in_order = True
    stage.witness.script = {turn.text: turn.replies for turn in one.turns}
    agent: Any = create_agent(stage.chat(), tools=list(TOOLS), system_prompt=HANDBOOK, middleware=middleware, checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": f"{one.number}"}, "recursion_limit": MOST_STEPS}
    for turn in one.turns:
        stage.providers.clock.advance(turn.pause)
        agent.invoke({"messages": [HumanMessage(turn.text)]}, config)
