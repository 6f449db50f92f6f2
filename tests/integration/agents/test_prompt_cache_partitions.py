"""Every label has its own part of the provider's prompt cache, wherever the provider has a parameter for that."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver

from session_router import Clearance, ModelSpec, Policy, Prices, Router, Tag
from session_router.core.governance import Level
from session_router.core.prefix import PromptCache
from session_router_langchain import SessionRouterChatModel, SessionRouterMiddleware
from session_router_langchain.partitioning import with_partition
from session_router_langchain.tagging import labelled
from support.agents import agent_of

if TYPE_CHECKING:
    from support.agents import Stage

CLEARED = Clearance(max_level=Level.RESTRICTED, trains=False)
PRICES = Prices(input=1.0, output=4.0)
PUBLIC, INTERNAL, SECRET = Tag(), Tag(level=Level.INTERNAL), Tag(level=Level.CONFIDENTIAL)
LONG = "You are the assistant of a large house. " * 400


def routed(model: Any, *, salt: str | None, governed: bool = True, tenant: str | None = None, **settings: Any) -> SessionRouterChatModel:
    clearance = CLEARED if governed else None
    spec = ModelSpec(model=model, prices=PRICES, clearance=clearance, prompt_cache=PromptCache(salt=salt))
    policy = Policy(sources=dict.fromkeys(("system", "human", "schemas"), PUBLIC) if governed else {})
    return SessionRouterChatModel(router=Router({"only": spec}, policy=policy, key=b"k" * 32), principal="ada", tenant=tenant, **settings)


def cached(stage: Stage) -> list[int]:
    return [row.cached_input for row in stage.providers.ledger.rows]


def say(model: SessionRouterChatModel, tag: Tag, *, thread: str) -> None:
    model.invoke([SystemMessage(LONG), labelled(HumanMessage("hello"), tag)], {"configurable": {"thread_id": thread}})


@pytest.mark.parametrize("salt", ["prompt_cache_key", "none"])
def test_another_label_does_not_meet_the_prefix_of_this_one(stage: Stage, salt: str) -> None:
    model = routed(stage.chat(), salt=salt)
    for tag in (PUBLIC, PUBLIC, INTERNAL, INTERNAL):
        say(model, tag, thread="a")
    first, again, other, other_again = map(bool, cached(stage))
    assert (first, again, other_again) == (False, True, True)
    assert other is (salt == "none")


def test_from_confidential_on_each_session_has_its_own(stage: Stage) -> None:
    model = routed(stage.chat(), salt="prompt_cache_key")
    for thread in ("a", "a", "b"):
        say(model, SECRET, thread=thread)
    assert list(map(bool, cached(stage))) == [False, True, False]


def test_two_tenants_share_nothing(stage: Stage) -> None:
    for tenant in ("acme", "globex"):
        say(routed(stage.chat(), salt="prompt_cache_key", tenant=tenant), PUBLIC, thread="a")
    assert list(map(bool, cached(stage))) == [False, False]


def test_without_governance_nothing_is_sent_along(stage: Stage) -> None:
    model = routed(stage.chat(), salt="prompt_cache_key", governed=False)
    for thread in ("a", "b"):
        # Without a salt whoever sent these words before has warmed the cache: they are this test's own.
        model.invoke([SystemMessage(f"Nobody governs. {LONG}"), HumanMessage("hello")], {"configurable": {"thread_id": thread}})
    assert list(map(bool, cached(stage))) == [False, True]


class Captured:
    """What a server of one's own is sent."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        answer = {"role": "assistant", "content": "hello"}
        self.whole = {"id": "c", "object": "chat.completion", "created": 1, "model": "own", "choices": [{"index": 0, "message": answer}]}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.bodies.append(json.loads(request.content))
        return httpx.Response(200, json=self.whole)

    def model(self, **settings: Any) -> ChatOpenAI:
        client = httpx.Client(transport=httpx.MockTransport(self))
        return ChatOpenAI(model="own", base_url="http://own/v1", api_key="any", http_client=client, max_retries=0, **settings)


def test_an_engine_of_ones_own_is_told_a_salt_beside_what_it_is_told_anyway() -> None:
    captured = Captured()
    model = routed(captured.model(extra_body={"top_k": 3}), salt="cache_salt")
    for tag in (PUBLIC, PUBLIC, INTERNAL):
        model.invoke([labelled(HumanMessage("hello"), tag)], {"configurable": {"thread_id": "a"}})
    one, same, other = [body["cache_salt"] for body in captured.bodies]
    assert one == same != other
    assert len(one) == 32
    assert [body["top_k"] for body in captured.bodies] == [3, 3, 3]


def test_what_the_application_names_itself_stays() -> None:
    captured = Captured()
    model = routed(captured.model(), salt="cache_salt")
    model.bind(extra_body={"cache_salt": "ours"}).invoke([labelled(HumanMessage("hello"), PUBLIC)])
    assert captured.bodies[0]["cache_salt"] == "ours"


async def test_an_agent_s_requests_bear_it_too(astage: Stage) -> None:
    spec = ModelSpec(model=astage.chat(), prices=PRICES, clearance=CLEARED, prompt_cache=PromptCache(salt="prompt_cache_key"))
    policy = Policy(sources=dict.fromkeys(("system", "human", "schemas"), PUBLIC))
    middleware = SessionRouterMiddleware(Router({"only": spec}, policy=policy), principal="ada")
    agent = agent_of(astage, router=middleware, tools=(), system_prompt=LONG, checkpointer=InMemorySaver())
    for tag in (PUBLIC, INTERNAL):
        config: Any = {"configurable": {"thread_id": tag.level.name}}
        await agent.ainvoke({"messages": [labelled(HumanMessage("hello"), tag)]}, config)
    assert cached(astage) == [0, 0]


@pytest.mark.parametrize(
    ("address", "salt"),
    [
        (None, "prompt_cache_key"),
        ("https://api.openai.com/v1", "prompt_cache_key"),
        ("http://localhost:8000/v1", "none"),
        ("https://api.openai.com.evil/v1", "none"),
    ],
)
def test_openai_s_own_address_is_known_to_have_it(address: str | None, salt: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_BASE", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    settings = {} if address is None else {"base_url": address}
    model = ChatOpenAI(model="gpt-5-mini", api_key="any", **settings)
    found = with_partition(ModelSpec(model=model, dialect="openai-chat"), model)
    assert found.prompt_cache.salt == salt
