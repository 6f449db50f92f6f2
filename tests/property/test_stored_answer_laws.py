"""A stored answer is the answer that would have been given: models that mirror what they are asked, agents that change it in all ways."""

# ruff: noqa: ARG002 -- signatures of the base classes

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, ModelResponse
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field

from session_router import CacheRules, Policy, Prices, Router, SemanticCache
from session_router_langchain import SessionRouterChatModel, SessionRouterMiddleware, seals, terms
from session_router_langchain.exact import ExactReader
from support.agents import clock, weather

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

STEPS: Final = 400
RULES: Final = Policy(stake=1.0, margin=0.0, cache=CacheRules(sharing="tenant"))


class Mirror(BaseChatModel):
    """Answers with a digest of all that it is set up with and asked; of the last text, only how it is set does not count."""

    id: str = "m"
    temperature: float | None = None
    address: str = "https://one.example"
    extra: dict[str, Any] = Field(default_factory=dict[str, Any])

    @property
    def _llm_type(self) -> str:
        return "mirror"

    def bind_tools(self, tools: Any, *, tool_choice: Any = None, **kwargs: Any) -> Any:
        return self.bind(tools=[convert_to_openai_tool(one) for one in tools], tool_choice=tool_choice, **kwargs)

    def _said(self, messages: Sequence[Any], stop: Any, asked: dict[str, Any]) -> dict[str, Any]:
        *before, last = [[message.type, message.text] for message in messages]
        last = [last[0], " ".join(last[1].lower().rstrip("?! ").split())]
        told = json.dumps([self.id, self.temperature, self.address, self.extra, before, last, stop, asked], sort_keys=True, default=str)
        return {"content": hashlib.sha256(told.encode()).hexdigest(), "response_metadata": {"finish_reason": "stop"}}

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **asked: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage(**self._said(messages, stop, asked)))])

    def _stream(self, messages: Any, stop: Any = None, run_manager: Any = None, **asked: Any) -> Iterator[ChatGenerationChunk]:
        yield ChatGenerationChunk(message=AIMessageChunk(**self._said(messages, stop, asked), chunk_position="last"))


class Outside(AgentMiddleware[Any, Any, Any]):
    """Sets up requests before the router sees them."""

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__()
        self.settings = settings

    def wrap_model_call(self, request: Any, handler: Any) -> Any:
        return handler(request.override(model_settings=dict(self.settings)))


class Within(AgentMiddleware[Any, Any, Any]):
    """Changes requests or answers after the router has seen them."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what

    def wrap_model_call(self, request: Any, handler: Any) -> Any:
        match self.what:
            case "prompt":
                request = request.override(system_message=SystemMessage("You are a pirate."))
            case "settings":
                request.model_settings["temperature"] = 0.7
            case "tools":
                request = request.override(tools=request.tools[:-1])
            case "choice":
                request = request.override(tool_choice="none")
            case "model":
                request = request.override(model=request.model.model_copy(update={"address": "https://two.example"}))
            case "history":
                request = request.override(messages=[HumanMessage("By the way, hello."), *request.messages])
            case "text":
                request.messages[-1].content = "Are you a pirate?"
            case "answer":
                response = handler(request)
                return ModelResponse(result=[AIMessage(f"{response.result[0].text}, arr")])
            case _:
                pass
        return handler(request)


CHANGES: Final = ("prompt", "settings", "tools", "choice", "model", "history", "text", "answer")


@dataclass(frozen=True)
class Asking:
    """One way to ask one question."""

    route: dict[str, Any]
    front: str
    prompt: str | None
    tools: tuple[Any, ...]
    settings: dict[str, Any]
    before: tuple[tuple[str, str], ...]
    text: str
    within: str = ""

    def of(self, cache: SemanticCache | None) -> AIMessage:
        router = Router({"m": Mirror(**self.route)}, prices={"m": Prices(input=1.0, output=4.0)}, policy=RULES, cache=cache)
        history: list[Any] = [*self.before, ("user", self.text)]
        if self.front == "agent":
            middleware: list[Any] = [Outside(self.settings), SessionRouterMiddleware(router, principal="ada"), Within(self.within)]
            agent = create_agent(Mirror(), tools=list(self.tools), system_prompt=self.prompt, middleware=middleware)
            message = agent.invoke({"messages": [HumanMessage(text) if who == "user" else AIMessage(text) for who, text in history]})[
                "messages"
            ][-1]
        else:
            model: Any = SessionRouterChatModel(router=router, principal="ada")
            bound = model.bind_tools(self.tools, **self.settings) if self.tools else model.bind(**self.settings)
            history = history if self.prompt is None else [("system", self.prompt), *history]
            message = bound.invoke(history) if self.front == "invoke" else whole(list(bound.stream(history)))
        assert isinstance(message, AIMessage)
        return message


def whole(chunks: list[AIMessageChunk]) -> AIMessageChunk:
    first, *others = chunks
    for chunk in others:
        first += chunk
    return first


def drawn(dice: random.Random) -> Asking:
    within = dice.choice(CHANGES) if dice.random() < 0.4 else ""
    return Asking(
        route=dice.choice([{}, {}, {"temperature": 0.9}, {"address": "https://two.example"}, {"id": "m2"}, {"extra": {"seed": 7}}]),
        front="agent" if within else dice.choice(("agent", "invoke", "stream")),
        prompt=dice.choice([None, "Be brief.", "You are a pirate."]),
        tools=dice.choice([(), (weather,), (weather, clock)]),
        settings=dice.choice([{}, {}, {"temperature": 0.7}, {"seed": 7}]),
        before=dice.choice([(), (), (("user", "Hello."), ("assistant", "Hello.")), (("user", "Hello."), ("assistant", "Bye."))]),
        text=dice.choice(["What are your opening hours?", "what are your opening hours", "Are you a pirate?", "By the way, hello."]),
        within=within,
    )


@dataclass
class Seen:
    """What came of many askings."""

    asked: int = 0
    hits: int = 0
    wrong: list[Asking] = field(default_factory=list)


def play(seed: int, *, until_wrong: bool = False) -> Seen:
    """Ask in many ways at one cache; whoever changes nothing further inside is told what its model would have told it."""
    dice, cache, seen = random.Random(seed), SemanticCache(), Seen()
    for _ in range(STEPS):
        asking = drawn(dice)
        message = asking.of(cache)
        if asking.within:
            continue
        seen.asked += 1
        seen.hits += message.response_metadata["session_router"]["decision"] == "cache_hit"
        if message.text != asking.of(None).text:
            seen.wrong.append(asking)
            if until_wrong:
                break
    assert cache._parts.flights._flights == {}
    return seen


@pytest.mark.parametrize("seed", [1, 2])
def test_a_stored_answer_is_what_the_model_would_have_answered(seed: int) -> None:
    seen = play(seed)
    assert seen.wrong == []
    assert seen.hits > 0


BROKEN: Final[dict[str, tuple[Any, str, Any]]] = {
    "a key without what the routes are set up with": (terms, "_set_up", lambda _: b""),
    "a key without tools": (ExactReader, "tools", lambda *_: b""),
    "a key without the conversation": (ExactReader, "messages", lambda *_: b""),
    "answers to whatever was asked": (seals.Seal, "holds", lambda *_: True),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_key_that_leaves_something_out_is_found_out(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, attribute, broken = BROKEN[name]
    monkeypatch.setattr(owner, attribute, broken)
    assert play(1, until_wrong=True).wrong
