"""What the key of a stored answer is made of: all that decides the answer, in every process the same; or there is no key."""

# ruff: noqa: ARG002 -- signatures of the base classes

from __future__ import annotations

import gc
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, ChatMessage, HumanMessage, SystemMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import StructuredTool, tool
from langchain_google_genai import ChatGoogleGenerativeAI
from langchain_openai import AzureChatOpenAI, ChatOpenAI
from pydantic import SecretStr

from session_router import ModelSpec, Prices, Router, SemanticCache
from session_router.core.cached import MissReason
from session_router.identity import SessionNames
from session_router_langchain import SessionRouterChatModel
from session_router_langchain.calls import Calls
from session_router_langchain.dialects import account_of
from session_router_langchain.set_ups import set_up_of

if TYPE_CHECKING:
    from session_router.core.cache_terms import CacheTerms

HOURS: Final = "What are your opening hours?"
PRICES: Final = Prices(input=1.0, output=4.0)
KEY: Final = "sk-the-very-secret-key"


def openai(**settings: Any) -> ChatOpenAI:
    return ChatOpenAI(**{"model": "gpt", "api_key": SecretStr(KEY), **settings})


def claude(**settings: Any) -> ChatAnthropic:
    return ChatAnthropic(**{"model_name": "claude", "api_key": SecretStr(KEY), **settings})


def gemini(**settings: Any) -> ChatGoogleGenerativeAI:
    return ChatGoogleGenerativeAI(**{"model": "gemini", "google_api_key": SecretStr(KEY), **settings})


def azure(**settings: Any) -> AzureChatOpenAI:
    given = {"azure_endpoint": "https://one.example", "api_version": "1", "azure_deployment": "a", "api_key": SecretStr(KEY), **settings}
    return AzureChatOpenAI(**given)


def terms(
    *messages: Any, model: Any = None, calls: Calls | None = None, tools: Any = (), system: Any = None, account: str = "", **given: Any
) -> CacheTerms:
    """Return the terms on which a stored answer may stand for an answer to `messages`."""
    calls = calls or calls_of(openai() if model is None else model, account=account)
    history = list(messages) or [HumanMessage(HOURS)]
    transcript = calls.read(history, system=system, tools=tools)
    found = calls.terms(history, transcript, SessionNames(principal="ada"), system=system, tools=tools, **given)
    assert found is not None
    return found


def calls_of(model: Any, *, account: str = "") -> Calls:
    return Calls(Router({"m": ModelSpec(model=model, account=account, prices=PRICES)}, cache=SemanticCache()))


OTHERS: Final[dict[str, tuple[Any, dict[str, Any]]]] = {
    "openai, address": (openai, {"base_url": "https://elsewhere.example/v1"}),
    "openai, organisation": (openai, {"organization": "org-2"}),
    "openai, top_p": (openai, {"top_p": 0.5}),
    "openai, seed": (openai, {"seed": 7}),
    "openai, arguments": (openai, {"model_kwargs": {"user": "bob"}}),
    "openai, body": (openai, {"extra_body": {"guided": {"choice": ["a"]}}}),
    "openai, headers": (openai, {"default_headers": {"x-route": "eu"}}),
    "openai, key in a header": (openai, {"default_headers": {"x-virtual-key": "other"}}),
    "openai, query": (openai, {"default_query": {"version": "2"}}),
    "openai, stop": (openai, {"stop": ["Monday"]}),
    "openai, effort": (openai, {"reasoning_effort": "low"}),
    "openai, API": (openai, {"use_responses_api": True}),
    "openai, kept responses": (openai, {"use_previous_response_id": True}),
    "openai, key": (openai, {"api_key": SecretStr("sk-another")}),
    "openai, model": (openai, {"model": "gpt-2"}),
    "azure, deployment": (azure, {"azure_deployment": "b"}),
    "azure, address": (azure, {"azure_endpoint": "https://two.example"}),
    "azure, version": (azure, {"api_version": "2"}),
    "claude, address": (claude, {"base_url": "https://elsewhere.example"}),
    "claude, stop": (claude, {"stop_sequences": ["Monday"]}),
    "claude, betas": (claude, {"betas": ["context-2"]}),
    "claude, servers of tools": (claude, {"mcp_servers": [{"type": "url", "url": "https://tools.example", "name": "t"}]}),
    "claude, top_k": (claude, {"top_k": 3}),
    "claude, thinking": (claude, {"thinking": {"type": "enabled", "budget_tokens": 1_024}}),
    "claude, place": (claude, {"inference_geo": "eu"}),
    "gemini, top_p": (gemini, {"top_p": 0.5}),
    "gemini, kept content": (gemini, {"cached_content": "cachedContents/1"}),
    "gemini, headers": (gemini, {"additional_headers": {"x-route": "eu"}}),
    "gemini, format": (gemini, {"response_mime_type": "application/json"}),
}

THE_SAME: Final[dict[str, tuple[Any, dict[str, Any]]]] = {
    "openai, patience": (openai, {"timeout": httpx.Timeout(3.0), "max_retries": 7}),
    "openai, who looks on": (openai, {"tags": ["a"], "metadata": {"b": 1}, "verbose": True, "name": "c"}),
    "openai, in pieces": (openai, {"streaming": True, "stream_usage": False}),
    "claude, patience": (claude, {"timeout": 3.0, "max_retries": 7}),
    "gemini, patience": (gemini, {"timeout": 3.0, "max_retries": 7}),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_decides_an_answer_is_part_of_the_key(name: str) -> None:
    build, other = OTHERS[name]
    one = terms(model=build())
    assert one.settings == terms(model=build()).settings
    assert one.settings != terms(model=build(**other)).settings
    assert not one.untold


SENT_OTHERWISE: Final[tuple[tuple[Any, Any], ...]] = (
    (ChatMessage(role="user", content="Be brief."), ChatMessage(role="system", content="Be brief.")),
    (HumanMessage("I am new."), HumanMessage("I am new.", additional_kwargs={"name": "bob"})),
    (SystemMessage("Be brief."), SystemMessage("Be brief.", additional_kwargs={"__openai_role__": "developer"})),
    (AIMessage("", additional_kwargs={"refusal": "No."}), AIMessage("", additional_kwargs={"audio": "No."})),
)


@pytest.mark.parametrize(("one", "other"), SENT_OTHERWISE)
def test_whatever_a_client_sends_of_a_message_is_part_of_the_key(one: Any, other: Any) -> None:
    question = HumanMessage(HOURS)
    assert terms(one, question).before != terms(other, question).before


def test_so_is_the_name_of_whoever_asks_wherever_it_stands() -> None:
    asked = [terms(HumanMessage(HOURS, **given)).before for given in ({}, {"name": "ada"}, {"additional_kwargs": {"name": "bob"}})]
    assert len({*asked}) == 3


@pytest.mark.parametrize("name", THE_SAME)
def test_how_long_and_how_often_it_is_asked_is_no_part_of_it(name: str) -> None:
    build, other = THE_SAME[name]
    assert terms(model=build(**other)) == terms(model=build())


def test_whoever_names_the_account_may_change_its_key() -> None:
    other = openai(api_key=SecretStr("sk-another"))
    assert terms(model=openai(), account="ours").settings == terms(model=other, account="ours").settings
    assert terms(model=openai(), account="ours").settings != terms(model=openai(), account="theirs").settings


def test_no_secret_is_in_it() -> None:
    header = "Bearer a-secret-token"
    for model in (
        openai(default_headers={"Authorization": header, "x-api-key": KEY}, openai_proxy=f"http://{KEY}@proxy.example"),
        claude(mcp_servers=[{"type": "url", "url": "https://tools.example", "name": "t", "authorization_token": KEY}]),
        gemini(client_args={"headers": {"cookie": KEY}}),
        azure(),
    ):
        said = repr(set_up_of(model, account_of(model)))
        assert KEY not in said
        assert "a-secret-token" not in said


_ELSEWHERE: Final = """
import sys
sys.path[:0] = {paths!r}
from unit.langchain.test_terms import of_everything
print(of_everything().hex())
"""


def of_everything() -> bytes:
    found = terms(
        SystemMessage("Be kind."),
        HumanMessage("Hello!"),
        AIMessage("Hello."),
        HumanMessage(HOURS),
        model=claude(betas=["b", "a"], default_headers={"z": "1", "a": "2"}),
        system=SystemMessage("Be brief."),
        tools=[search],
        tool_choice={"type": "tool", "name": "search"},
        settings={"stop": ["x"], "extra": {"b": 1, "a": [1, 2]}},
    )
    return found.before + found.system + found.tools + found.settings


def test_the_key_is_the_same_in_every_process() -> None:
    for seed in ("1", "2"):
        script = _ELSEWHERE.format(paths=sys.path)
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed}
        )
        assert done.stdout.strip() == of_everything().hex()


# What cannot be told


class Opaque(BaseChatModel):
    """A chat model that keeps something of which there is no more than an address."""

    inside: Any = None
    said: str = "At nine."

    @property
    def _llm_type(self) -> str:
        return "opaque"

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **_: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage(self.said, response_metadata={"finish_reason": "stop"}))])


class Telling(Opaque):
    """Says itself what identifies it."""

    version: str = "1"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"version": self.version}


@tool
def search(city: str) -> str:
    """Search a city."""
    return city


class Unwritable:
    """No tool at all."""

    name = "search"


UNTOLD: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "a route": ("the route `m` (its `inside`)", {"model": Opaque(inside=object())}),
    "a tool": ("a tool or the tool choice (Unwritable)", {"tools": [Unwritable()]}),
    "a provider's tool": ("a tool or the tool choice (object)", {"tools": [{"type": "web", "filter": object()}]}),
    "a tool choice": ("a tool or the tool choice (object)", {"tool_choice": object()}),
    "a setting": ("a setting (object)", {"settings": {"filter": object()}}),
    "a setting of the tools": ("a setting (SecretStr)", {"bound": {"headers": {"a": SecretStr("b")}}}),
    "the system prompt": ("the system prompt (object)", {"system": SystemMessage([{"type": "text", "text": "Hi", "note": object()}])}),
}


@pytest.mark.parametrize("name", UNTOLD)
def test_what_cannot_be_told_makes_no_key(name: str) -> None:
    untold, given = UNTOLD[name]
    found = terms(**given)
    assert found.untold == untold
    assert (found.before, found.system, found.tools, found.settings) == (b"", b"", b"", b"")


def test_messages_of_which_no_more_than_an_address_is_known_make_no_key() -> None:
    """An address is used again when what was there is gone: two such histories could look alike."""
    for _ in range(3):
        history = [HumanMessage([{"type": "text", "text": "Hello", "note": object()}]), AIMessage("Hello."), HumanMessage(HOURS)]
        assert terms(*history).untold == "a message (object)"
        del history
        gc.collect()
    deep: Any = "bottom"
    for _ in range(100_000):
        deep = [deep]
    assert terms(AIMessage([{"type": "text", "text": "Hello", "note": deep}]), HumanMessage(HOURS)).untold == "a message (list)"


def test_a_model_that_says_what_identifies_it_is_believed() -> None:
    one = terms(model=Telling(inside=object()))
    assert not one.untold
    assert one.settings == terms(model=Telling(inside=object())).settings
    assert one.settings != terms(model=Telling(inside=object(), version="2")).settings
    assert one.settings != terms(model=Telling(inside=object(), said="At ten.")).settings


def test_what_cannot_be_told_is_counted_and_asks_the_model() -> None:
    decisions: list[Any] = []

    class Watch:
        def on_decision(self, decision: Any) -> None:
            decisions.append(decision)

        def on_outcome(self, decision: Any, outcome: Any) -> None:
            pass

    cache = SemanticCache()
    router = Router({"m": Opaque(inside=object())}, prices={"m": PRICES}, cache=cache, observers=[Watch()])
    model = SessionRouterChatModel(router=router, principal="ada")
    for _ in range(2):
        assert model.invoke(HOURS).text == "At nine."
    assert cache.counts() == {f"miss.{MissReason.NOT_CACHEABLE}": 2, "refused": 2}
    known = {"miss": "not_cacheable", "detail": "not all is told: the route `m` (its `inside`)"}
    assert [one.evidence.to_plain()["cache"] for one in decisions] == [known, known]
    told = SessionRouterChatModel(router=Router({"m": Telling(inside=object())}, prices={"m": PRICES}, cache=cache), principal="ada")
    for _ in range(2):
        told.invoke(HOURS)
    assert cache.counts()["hit.exact"] == 1


# What is changed in place


def test_a_history_that_was_changed_in_place_is_another_one() -> None:
    calls = calls_of(openai())
    history: list[Any] = [
        SystemMessage("Be kind."),
        HumanMessage([{"type": "text", "text": "Hello"}]),
        AIMessage("Hi."),
        HumanMessage(HOURS),
    ]
    seen = [terms(*history, calls=calls)]
    assert terms(*history, calls=calls) == seen[0]
    history[0].content = "Be rude."
    seen.append(terms(*history, calls=calls))
    history[1].content[0]["text"] = "Go away"
    seen.append(terms(*history, calls=calls))
    history[2].tool_calls.append({"name": "leave", "args": {}, "id": "1", "type": "tool_call"})
    seen.append(terms(*history, calls=calls))
    history[2].additional_kwargs["refusal"] = "No."
    seen.append(terms(*history, calls=calls))
    assert len({one.before for one in seen}) == len(seen)


def test_a_prompt_and_tools_that_were_changed_in_place_are_others() -> None:
    calls, system = calls_of(openai()), SystemMessage("Be kind.")
    schema: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}}
    found = StructuredTool(name="find", description="Find it.", args_schema=schema, func=str)
    seen = [terms(calls=calls, system=system, tools=[found])]
    assert terms(calls=calls, system=system, tools=[found]) == seen[0]
    system.content = "Be rude."
    seen.append(terms(calls=calls, system=system, tools=[found]))
    found.description = "Never find it."
    seen.append(terms(calls=calls, system=system, tools=[found]))
    schema["properties"]["street"] = {"type": "string"}
    seen.append(terms(calls=calls, system=system, tools=[found]))
    found.extras = {"defer_loading": True}
    seen.append(terms(calls=calls, system=system, tools=[found]))
    assert len({(one.system, one.tools) for one in seen}) == len(seen)
    found.extras = {"defer_loading": True, "cache_control": {"type": "ephemeral"}}
    assert terms(calls=calls, system=system, tools=[found]) == seen[-1]


def test_a_route_that_was_changed_in_place_is_another_one() -> None:
    model = openai()
    calls = calls_of(model)
    before = terms(calls=calls)
    model.temperature = 0.9
    assert terms(calls=calls) != before


def test_options_of_tools_are_not_those_of_the_call() -> None:
    assert terms(bound={"strict": True}) != terms(settings={"strict": True})
