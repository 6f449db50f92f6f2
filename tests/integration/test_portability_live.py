"""Histories of every provider, sent to every other one, over HTTP to the strict simulators."""

from __future__ import annotations

import functools
import itertools
import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anthropic
import openai
import pytest
from langchain_anthropic import ChatAnthropic
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
from session_router_langchain.portability import convert
from session_router_langchain.repairing import repair
from session_router_langchain.target import OriginOf, origin_in, target_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_core.language_models import BaseChatModel

CALL = Reply(text="Let me look.", thinking="Weather needs a tool.", tool_calls=(ToolCall(name="weather", arguments={"city": "Paris"}),))
SEARCH = Reply(text="It is here.", thinking="Search first.", searches=(WebSearch(query="lock"),))
SCRIPT = {
    "weather": [CALL, CALL, "Sunny."],
    "search": [SEARCH],
    "think": [Reply(text="Yes.", thinking="Hard.", redact_thinking=True)],
    "computer": [Reply(client_items=(ClientItem(type="computer_call"),))],
    "approval": [Reply(client_items=(ClientItem(type="mcp_approval_request"),))],
    "pause": [Reply(searches=(WebSearch(query="lock"),), pause=True, text="Found.")],
}


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
    bound: dict[str, Any]
    origin: OriginOf

    def prepared(self, messages: list[BaseMessage], name: str) -> list[BaseMessage]:
        return convert(messages, target_of(name, self.models[name]), origin=self.origin)

    def ask(self, name: str, messages: list[BaseMessage]) -> AIMessage:
        return self.bound[name].invoke(messages)

    def stream(self, name: str, messages: list[BaseMessage]) -> AIMessage:
        return functools.reduce(operator.add, self.bound[name].stream(messages))

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
                model=name,
                api_key=key,
                base_url=served.anthropic_base_url,
                max_retries=0,
                max_tokens=4_000,
                timeout=None,
                stop=None,
                **settings,
            )

        thinking = {"type": "enabled", "budget_tokens": 1_024}
        items = {"use_responses_api": True, "include": ["reasoning.encrypted_content"]}
        models: dict[str, BaseChatModel] = {
            "chat": gpt("gpt-chat", "a"),
            "items": gpt("gpt-items", "a", output_version="responses/v1", **items),
            "items-v0": gpt("gpt-items", "b", output_version="v0", use_responses_api=True),
            "items-v1": gpt("gpt-other", "b", output_version="v1", store=False, **items),
            "items-other": gpt("gpt-other", "a", use_responses_api=True, use_previous_response_id=True),
            "thinks": claude("claude-thinks", "d", thinking=thinking),
            "thinks-v1": claude("claude-thinks-too", "e", thinking=thinking, output_version="v1"),
            "plain": claude("claude-plain", "d"),
        }
        specs = {}
        for name, model in models.items():
            target = target_of(name, model)
            ids = target.provider_ids
            specs[ModelName(name)] = ModelSpec(model=model, provider_ids=ids, dialect=target.dialect, account=target.account)
        yield Houses(
            served=served,
            models=models,
            bound={name: model.bind_tools([weather]) for name, model in models.items()},
            origin=origin_in(specs),
        )


def stamped(message: AIMessage, name: str) -> AIMessage:
    """Mark the author as the middleware does: routes here share provider ids."""
    return message.model_copy(update={"response_metadata": {**message.response_metadata, "session_router": {"model": name}}})


def history(houses: Houses, author: str, question: str, calls: int, *, streamed: bool = False) -> list[BaseMessage]:
    """Let `author` work on `question` for `calls` calls, each but a last answer followed by its tool results."""
    messages: list[BaseMessage] = [HumanMessage(question)]
    for _ in range(calls):
        answer = stamped(houses.stream(author, messages) if streamed else houses.ask(author, messages), author)
        messages.append(answer)
        messages.extend(ToolMessage("sunny", tool_call_id=call["id"] or "", name=call["name"]) for call in answer.tool_calls)
    return messages


@dataclass(frozen=True)
class Case:
    question: str
    calls: int = 1
    closed: bool = True
    streamed: bool = False
    authors: tuple[str, ...] = ()


THINKERS = ("thinks", "thinks-v1")
# In the v0 form, langchain-openai itself sends a search behind the text that came of it.
SEARCHERS = ("items", "items-v1", "items-other", *THINKERS)
CASES = {
    "finished loop": Case("What is the weather?", calls=3, authors=("chat", "items", "items-v0", *THINKERS)),
    "running loop": Case("What is the weather?", calls=2, closed=False),
    "streamed loop": Case("What is the weather?", calls=1, closed=False, streamed=True, authors=("items", "items-v1", "thinks")),
    "provider's own tool": Case("Please search.", authors=SEARCHERS),
    "provider's own tool, streamed": Case("Please search.", streamed=True, authors=THINKERS),
    "hidden thinking": Case("Please think.", authors=THINKERS),
}
NAMES = ("chat", "items", "items-v0", "items-v1", "items-other", "thinks", "thinks-v1", "plain")


@pytest.mark.parametrize("case", CASES)
def test_no_provider_refuses_a_converted_history_and_some_refuse_the_plain_one(houses: Houses, case: str) -> None:
    work = CASES[case]
    bitten = False
    authors = work.authors or NAMES
    histories = {author: history(houses, author, work.question, work.calls, streamed=work.streamed) for author in authors}
    for author, target in itertools.product(authors, NAMES):
        messages = [*histories[author], HumanMessage("And now something else.")] if work.closed else histories[author]
        before = houses.served.ledger.client_errors
        prepared = houses.prepared(messages, target)
        answer = houses.ask(target, prepared)
        assert answer.text or answer.tool_calls, (author, target)
        assert houses.served.ledger.client_errors == before, (author, target)
        if author == target:
            assert all(new is old for new, old in zip(prepared, messages, strict=True))
        bitten = bitten or houses.refused(target, messages)
    assert bitten


def left_behind(houses: Houses) -> dict[str, list[BaseMessage]]:
    """Histories that ended in the middle of something, before the user went on."""
    human = HumanMessage("Never mind. And now something else.")
    called = history(houses, "chat", "What is the weather?", 1)
    thought = history(houses, "thinks", "What is the weather?", 1)
    screen = history(houses, "items", "Use the computer.", 1)
    asked = history(houses, "items", "Ask for approval.", 1)
    paused = history(houses, "thinks", "Please pause.", 1)
    shot = ToolMessage(
        [{"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="}],
        tool_call_id=screen[-1].content[-1]["call_id"],
        additional_kwargs={"type": "computer_call_output"},
    )
    return {
        "unanswered call": [*called[:2], human],
        "unanswered call after a thought": [*thought[:2], human],
        "trimmed in the middle of a loop": [*called[2:], human],
        "unanswered screen": [*screen, human],
        "answered screen": [*screen, shot, human],
        "unanswered approval": [*asked, human],
        "paused search": [*paused, human],
    }


@pytest.mark.parametrize("target", ["chat", "items", "items-v1", "thinks", "plain"])
def test_no_provider_refuses_what_was_left_behind_once_it_is_repaired(houses: Houses, target: str) -> None:
    bitten = False
    for case, messages in left_behind(houses).items():
        before = houses.served.ledger.client_errors
        whole = list(repair(messages))
        assert houses.ask(target, houses.prepared(whole, target)).text, case
        assert houses.served.ledger.client_errors == before, case
        assert list(repair(whole)) == whole
        bitten = bitten or houses.refused(target, messages)
    assert bitten


def test_a_paused_turn_can_be_taken_up_by_another_model(houses: Houses) -> None:
    messages = history(houses, "thinks-v1", "Please pause.", 1)
    bitten = False
    for target in ("chat", "items-v1", "thinks"):
        before = houses.served.ledger.client_errors
        assert houses.ask(target, houses.prepared(messages, target)).text
        assert houses.served.ledger.client_errors == before
        bitten = bitten or houses.refused(target, messages)
    assert bitten
