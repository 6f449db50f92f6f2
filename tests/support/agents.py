"""Agents on strict provider simulators, a scorer that never rests, and a witness on the providers' side.

The witness shares no code with the router: it hands out the ids of tool calls, and notes when their results come
back to another model than the one that asked.
"""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelResponse
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver

from session_router import Policy, Prices, Router
from session_router.core.need import Need
from session_router.testing.providers import (
    Prompt,
    Reply,
    SchemaBehaviour,
    ServedProviders,
    SimulatedModel,
    ToolCall,
    serve,
)
from session_router_langchain import SessionRouterMiddleware

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from langchain_core.language_models import BaseChatModel
    from langgraph.graph.state import CompiledStateGraph

CHAT: Final = "chat"
RESPONSES: Final = "responses"
CLAUDE: Final = "claude"
DIALECTS: Final = (CHAT, RESPONSES, CLAUDE)
_LOOPS = itertools.count(1)
ANSWERS_AS: Final = {CHAT: "sim-chat-2026-01-01", RESPONSES: "sim-responses", CLAUDE: "sim-claude-20260101"}
THINKING: Final = {"type": "enabled", "budget_tokens": 1_024}


class RestlessScorer:
    """Wants another model at every call: the one after the last favourite has `p_success` 1, the rest have 0.

    Deterministic by the number of the call; with one session, the current model is never the favourite.
    """

    def __init__(self, *, start: int = 0) -> None:
        self._calls = itertools.count(start)
        self.asked = 0

    def score(self, question: object, models: Mapping[Any, Any]) -> dict[Any, Need]:
        del question
        names = list(models)
        self.asked += 1
        favourite = names[next(self._calls) % len(names)]
        return {name: Need(p_success=float(name == favourite)) for name in names}

    async def ascore(self, question: object, models: Mapping[Any, Any]) -> dict[Any, Need]:
        return self.score(question, models)


@dataclass(frozen=True, slots=True)
class Moved:
    """Tool results that came back to a model that had not asked for them."""

    call_id: str
    asker: str
    reader: str


@dataclass
class Witness:
    """Answers for every simulated model, and sees each request as its provider does.

    Attributes:
        script: Replies by a part of the user's text; what it does not hold is answered by schema.
        prompts: Every request that was let in, oldest first.
        moved: What should never happen.
        in_order: Whether the replies to what was typed last are used up, one a request; otherwise the provider's count
            of the calls since the user spoke says which is next. It begins anew where a loop is told as text.
    """

    script: Mapping[str, Sequence[Reply | str]] = field(default_factory=dict)
    prompts: list[Prompt] = field(default_factory=list)
    moved: list[Moved] = field(default_factory=list)
    in_order: bool = False
    _used: Counter[str] = field(default_factory=Counter)
    _askers: dict[str, str] = field(default_factory=dict)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, prompt: Prompt, /) -> Reply:
        reply = self._reply(prompt)
        with self._guard:
            self.prompts.append(prompt)
            for result in _results_at_the_end(prompt):
                asker = self._askers.get(result, prompt.model)
                if asker != prompt.model:
                    self.moved.append(Moved(result, asker, prompt.model))
            calls = tuple(
                replace(call, id=f"call_{len(self._askers) + at:06d}") if call.id is None else call
                for at, call in enumerate(reply.tool_calls)
            )
            self._askers.update({str(call.id): prompt.model for call in calls})
        return replace(reply, tool_calls=calls)

    def _reply(self, prompt: Prompt) -> Reply:
        # What was said before may stand in the same user message, told as text: the last key counts.
        text = prompt.last_user_text
        key = max(self.script, key=text.rfind, default="")
        replies = self.script[key] if key and key in text else ()
        number = prompt.call_number
        if self.in_order:
            typed = text.rpartition("\n")[2]
            number = self._used[typed]
            self._used[typed] += 1
        if number >= len(replies):
            return SchemaBehaviour()(prompt)
        reply = replies[number]
        return Reply(text=reply) if isinstance(reply, str) else reply

    def clear(self) -> None:
        with self._guard:
            self.script, self.in_order = {}, False
            self.prompts.clear()
            self._used.clear()
            self.moved.clear()


def _results_at_the_end(prompt: Prompt) -> Iterator[str]:
    for turn in reversed(prompt.turns):
        if turn.role != "tool":
            return
        yield from (result.call_id for result in turn.tool_results)


@dataclass(frozen=True)
class Stage:
    """Simulated providers with a witness, and clients of them.

    Attributes:
        providers: The providers.
        witness: What they see.
        seconds: Timeout of the clients. Clients with the same one share their connections, also across event loops.
    """

    providers: ServedProviders
    witness: Witness
    seconds: float = 30.0

    def chat(self, id_: str = "sim-chat", **settings: Any) -> ChatOpenAI:
        address = self.providers.openai_base_url
        settings = {"base_url": address, "api_key": "key-openai", "max_retries": 0, "timeout": self.seconds, **settings}
        return ChatOpenAI(model=id_, **settings)

    def responses(self, id_: str = "sim-responses", **settings: Any) -> ChatOpenAI:
        return self.chat(id_, **{"use_responses_api": True, "output_version": "responses/v1", **settings})

    def claude(self, id_: str = "sim-claude", **settings: Any) -> ChatAnthropic:
        address = self.providers.anthropic_base_url
        settings = {"base_url": address, "api_key": "key-anthropic", "max_retries": 0, "timeout": self.seconds, **settings}
        return ChatAnthropic(**{"model_name": id_, "max_tokens": 4_096, "thinking": dict(THINKING), **settings})

    def routes(self, **changes: BaseChatModel | None) -> dict[str, BaseChatModel]:
        """Return one route a dialect; a change to `None` leaves one out."""
        every: dict[str, BaseChatModel | None] = {CHAT: self.chat(), RESPONSES: self.responses(), CLAUDE: self.claude(), **changes}
        return {name: model for name, model in every.items() if model is not None}

    def router(self, routes: Mapping[str, Any] | None = None, **settings: Any) -> Router:
        """Return a router that wants to switch at every call, unless told otherwise."""
        routes = self.routes() if routes is None else routes
        prices = {name: Prices(input=1.0, output=4.0) for name in routes}
        settings = {"scorer": RestlessScorer(), "policy": Policy(stake=1.0, margin=0.0), "prices": prices, **settings}
        return Router(routes, **settings)

    def on_a_loop_of_its_own(self) -> Stage:
        """Return this stage with other connections: those of an event loop cannot be used in the next one."""
        return replace(self, seconds=self.seconds + next(_LOOPS) / 1_000)

    async def aclose(self) -> None:
        """Close the connections of this event loop."""
        await self.chat().root_async_client.close()
        await self.claude()._async_client.close()

    def clear(self) -> None:
        self.providers.ledger.clear()
        self.providers.faults.clear()
        self.witness.clear()

    @property
    def asked(self) -> list[str]:
        """Return the model ids of all requests that were answered, oldest first."""
        return [row.model for row in self.providers.ledger.rows if row.status == 200]

    @property
    def refused(self) -> list[tuple[str, int, str | None]]:
        """Return the requests that were not answered."""
        return [(row.model, row.status, row.error_message) for row in self.providers.ledger.rows if row.status >= 400]

    def assert_sound(self, messages: Sequence[BaseMessage] = (), *, session: Mapping[str, Any] | None = None) -> None:
        """Assert that no provider refused anything, no loop changed models, and no lock is left.

        Args:
            messages: A history to look at.
            session: The session as the thread's state carries it after the run.
        """
        assert self.refused == []
        assert self.witness.moved == []
        assert moves_in_loops(messages) == []
        if session is not None:
            assert session["lock"] is None
            assert session["closed"] is not None


@contextmanager
def staged() -> Iterator[Stage]:
    """Serve two models of each dialect and a small stranger, all played by one witness."""
    witness = Witness()
    models = [
        SimulatedModel(id="sim-chat", provider="openai", dated_id="sim-chat-2026-01-01", behaviour=witness),
        SimulatedModel(id="sim-chat-2", provider="openai", behaviour=witness),
        SimulatedModel(id="sim-responses", provider="openai", reasons=True, behaviour=witness),
        SimulatedModel(id="sim-responses-2", provider="openai", reasons=True, behaviour=witness),
        SimulatedModel(id="sim-claude", provider="anthropic", dated_id="sim-claude-20260101", behaviour=witness),
        SimulatedModel(id="sim-claude-2", provider="anthropic", behaviour=witness),
    ]
    with serve(models) as providers:
        yield Stage(providers, witness)


def provider_id(message: AIMessage) -> str | None:
    """Return the id under which the provider answered; `None` for a message that no model wrote."""
    metadata = message.response_metadata
    return metadata.get("model_name") or metadata.get("model")


def moves_in_loops(messages: Sequence[BaseMessage]) -> list[tuple[int, str, str]]:
    """Return each place where a tool loop is answered by another model than the one that asked.

    From messages and provider ids only. A loop ends with an AI message without calls, or a typed human message.
    """
    moves: list[tuple[int, str, str]] = []
    asker: str | None = None
    for index, message in enumerate(messages):
        if isinstance(message, HumanMessage) and "lc_source" not in message.additional_kwargs and not _is_media(message):
            asker = None
        if not isinstance(message, AIMessage):
            continue
        author = provider_id(message)
        if asker is not None and author is not None and author != asker:
            moves.append((index, asker, author))
        if author is not None:
            asker = author if message.tool_calls else None
    return moves


def _is_media(message: HumanMessage) -> bool:
    return isinstance(message.content, list) and not message.text


def loops(messages: Sequence[BaseMessage]) -> int:
    """Count AI messages with calls that a model later read the results of."""
    answered = {message.tool_call_id for message in messages if isinstance(message, ToolMessage)}
    asks = [message for message in messages if isinstance(message, AIMessage) and message.tool_calls]
    return sum(any(call["id"] in answered for call in message.tool_calls) for message in asks)


def authors(messages: Sequence[BaseMessage]) -> list[str | None]:
    """Return who wrote each AI message, by the provider's id."""
    return [provider_id(message) for message in messages if isinstance(message, AIMessage)]


class NaiveSwitching(AgentMiddleware):
    """What a router without locks and portability does: the next model at every call, the history as it is."""

    def __init__(self, models: Sequence[BaseChatModel]) -> None:
        super().__init__()
        self._models = itertools.cycle(models)

    def wrap_model_call(self, request: ModelRequest, handler: Callable[[ModelRequest], ModelResponse]) -> ModelResponse:
        return handler(request.override(model=next(self._models)))

    async def awrap_model_call(self, request: ModelRequest, handler: Callable[[ModelRequest], Any]) -> ModelResponse:
        response: ModelResponse = await handler(request.override(model=next(self._models)))
        return response


def asks(*calls: ToolCall, **fields: Any) -> Reply:
    """Return a reply that asks for tools, in parallel if there are several."""
    return Reply(tool_calls=calls, **fields)


def call(name: str, *, malformed: str | None = None, **arguments: Any) -> ToolCall:
    """Return one call."""
    return ToolCall(name=name, arguments=arguments, malformed=malformed)


@tool
def weather(city: str) -> str:
    """Tell the weather."""
    return f"sunny in {city}"


@tool
def clock(city: str) -> str:
    """Tell the time."""
    return f"noon in {city}"


TOOLS: Final = (weather, clock)
THREAD: Final[Any] = {"configurable": {"thread_id": "a-thread"}}


def agent_of(
    stage: Stage, *middleware: Any, tools: Any = TOOLS, start: int = 0, routes: Any = None, router: Any = None, **settings: Any
) -> CompiledStateGraph[Any, Any, Any, Any]:
    """Return an agent behind a router that wants to switch at every call, beginning with route number `start`."""
    router = router or SessionRouterMiddleware(stage.router(routes, scorer=RestlessScorer(start=start)))
    settings = {"checkpointer": InMemorySaver(), "middleware": [router, *middleware], **settings}
    return create_agent(stage.chat(), tools=tools, **settings)


def session_in(agent: Any, config: Any = THREAD) -> Any:
    """Return the session that the thread's state carries."""
    return agent.get_state(config).values["session_router"]
