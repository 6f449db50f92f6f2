"""Histories of every provider, sent to every other one, over HTTP to the strict simulators."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import anthropic
import openai
import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from session_router.core.model import ModelName, ModelSpec
from session_router.testing.providers import (
    ClientItem,
    Prompt,
    Reply,
    ScriptedBehaviour,
    ServedProviders,
    SimulatedModel,
    ToolCall,
    WebSearch,
    serve,
)
from session_router_langchain.portability import convert, origin_in, portability_report, repair, target_of
from session_router_langchain.target import OriginOf

CALL = Reply(text="Let me look.", thinking="Weather needs a tool.", tool_calls=(ToolCall(name="weather", arguments={"city": "Paris"}),))
SEARCH = Reply(text="It is here.", thinking="Search first.", searches=(WebSearch(query="lock"),))
SCRIPT = {"weather": [CALL, CALL, "Sunny."], "search": [SEARCH], "think": [Reply(text="Yes.", thinking="Hard.", redact_thinking=True)]}


@tool
def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"sunny in {city}"


def done(_: Prompt) -> Reply:
    return Reply(text="Done.")


def simulated(name: str, provider: Any) -> SimulatedModel:
    return SimulatedModel(id=name, provider=provider, reasons=provider == "openai", behaviour=ScriptedBehaviour(SCRIPT, fallback=done))


@dataclass(frozen=True)
class Houses:
    served: ServedProviders
    models: dict[str, BaseChatModel]
    origin: OriginOf

    def prepared(self, messages: list[BaseMessage], name: str) -> list[BaseMessage]:
        return convert(messages, target_of(name, self.models[name]), origin=self.origin)

    def ask(self, name: str, messages: list[BaseMessage]) -> AIMessage:
        return self.models[name].bind_tools([weather]).invoke(messages)

    def refused(self, name: str, messages: list[BaseMessage]) -> bool:
        try:
            self.ask(name, messages)
        except (openai.APIStatusError, anthropic.APIStatusError):
            return True
        except (KeyError, TypeError, ValueError):  # the client itself cannot write the request
            return True
        return False


@pytest.fixture(scope="module")
def houses() -> Iterator[Houses]:
    simulations = [
        *(simulated(name, "openai") for name in ("gpt-chat", "gpt-items", "gpt-other")),
        *(simulated(name, "anthropic") for name in ("claude-thinks", "claude-thinks-too", "claude-plain")),
    ]
    with serve(simulations) as served:

        def gpt(name: str, key: str, **settings: Any) -> ChatOpenAI:
            return ChatOpenAI(model=name, api_key=key, base_url=served.openai_base_url, max_retries=0, **settings)

        def claude(name: str, key: str, **settings: Any) -> ChatAnthropic:
            return ChatAnthropic(
                model=name, api_key=key, base_url=served.anthropic_base_url, max_retries=0, max_tokens=4_000, timeout=None, stop=None, **settings
            )

        thinking = {"type": "enabled", "budget_tokens": 1_024}
        items = {"use_responses_api": True, "include": ["reasoning.encrypted_content"]}
        models: dict[str, BaseChatModel] = {
            "chat": gpt("gpt-chat", "a"),
            "items": gpt("gpt-items", "a", output_version="responses/v1", **items),
            "items-v0": gpt("gpt-items", "b", output_version="v0", use_responses_api=True),
            "items-v1": gpt("gpt-other", "b", output_version="v1", **items),
            "items-other": gpt("gpt-other", "a", use_responses_api=True, use_previous_response_id=True),
            "stateless": gpt("gpt-other", "c", store=False, **items),
            "thinks": claude("claude-thinks", "d", thinking=thinking),
            "thinks-v1": claude("claude-thinks-too", "d", thinking=thinking, output_version="v1"),
            "thinks-elsewhere": claude("claude-thinks-too", "e", thinking=thinking),
            "plain": claude("claude-plain", "d"),
        }
        specs = {}
        for name, model in models.items():
            target = target_of(name, model)
            ids = target.provider_ids
            specs[ModelName(name)] = ModelSpec(model=model, provider_ids=ids, dialect=target.dialect, account=target.account)
        yield Houses(served=served, models=models, origin=origin_in(specs))


def stamped(message: AIMessage, name: str) -> AIMessage:
    """Mark the author as the middleware does: routes here share provider ids."""
    return message.model_copy(update={"response_metadata": {**message.response_metadata, "session_router": {"model": name}}})


def history(houses: Houses, author: str, question: str, calls: int) -> list[BaseMessage]:
    """Let `author` work on `question` for `calls` calls, each but a last answer followed by its tool results."""
    messages: list[BaseMessage] = [HumanMessage(question)]
    for _ in range(calls):
        answer = stamped(houses.ask(author, messages), author)
        messages.append(answer)
        messages.extend(ToolMessage("sunny", tool_call_id=call["id"] or "", name=call["name"]) for call in answer.tool_calls)
    return messages


CASES = {
    "finished loop": ("What is the weather?", 3, True),
    "running loop": ("What is the weather?", 1, False),
    "longer running loop": ("What is the weather?", 2, False),
    "provider's own tool": ("Please search.", 1, True),
    "hidden thinking": ("Please think.", 1, True),
}
NAMES = ("chat", "items", "items-v0", "items-v1", "items-other", "stateless", "thinks", "thinks-v1", "thinks-elsewhere", "plain")


@pytest.mark.parametrize("case", CASES)
def test_no_provider_refuses_a_converted_history_and_some_refuse_the_plain_one(houses: Houses, case: str) -> None:
    question, calls, closed = CASES[case]
    plain_refusals = 0
    for author, target in itertools.product(NAMES, NAMES):
        messages = history(houses, author, question, calls)
        if closed:
            messages.append(HumanMessage("And now something else."))
        before = houses.served.ledger.client_errors
        prepared = houses.prepared(messages, target)
        answer = houses.ask(target, prepared)
        assert answer.text or answer.tool_calls, (author, target)
        assert houses.served.ledger.client_errors == before, (author, target)
        if author == target:
            assert all(new is old for new, old in zip(prepared, messages, strict=True))
        else:
            plain_refusals += houses.refused(target, messages)
    assert plain_refusals > 0
