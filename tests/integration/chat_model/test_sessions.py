"""Whose call it is: threads, principals, nobody; and many at a time through one instance."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from langchain.agents.middleware.internal_call_transformer import internal_call_metadata
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from session_router import MemorySessionStore, Prices, Router
from session_router.core.need import Need
from session_router_langchain import SessionRouterChatModel

if TYPE_CHECKING:
    from support.agents import Stage

STAMP = "session_router"
TASKS = 200
THREADS = 16


def thread(name: str, **metadata: Any) -> Any:
    return {"configurable": {"thread_id": name}, "metadata": metadata}


def last_decision(observed: Any) -> Any:
    return observed.decisions[-1]


def test_calls_of_one_thread_are_one_session(build: Any, observed: Any) -> None:
    model = build()
    model.invoke("Hello", thread("one"))
    model.invoke("Hello", thread("two"))
    model.invoke([HumanMessage("Hello"), AIMessage("Hi."), HumanMessage("And?")], thread("one"))
    first, other, second = (decision.session for decision in observed.decisions)
    assert first.id == second.id != other.id
    assert (observed.decisions[2].previous, second.turn) == (observed.decisions[0].model, 2)


def test_a_principal_and_the_opening_are_a_session(build: Any, observed: Any) -> None:
    settings = {"key": bytes(32), "store": MemorySessionStore()}
    ann, ben = (build(principal=name, settings=settings) for name in ("ann", "ben"))
    ann.invoke("Hello")
    ann.invoke([HumanMessage("Hello"), AIMessage("Hi."), HumanMessage("And?")])
    ben.invoke("Hello")
    ann.invoke("Something else")
    one, two, of_ben, other = (decision.session.id for decision in observed.decisions)
    assert one == two
    assert len({one, of_ben, other}) == 3


def test_the_user_that_the_server_authenticated_is_the_principal(build: Any, observed: Any) -> None:
    build().invoke("Hello", {"configurable": {"langgraph_auth_user_id": "ann"}})
    build(principal="ann").invoke("Hello")
    one, two = (decision.session.id for decision in observed.decisions)
    assert one == two


def test_nobody_has_no_session(build: Any, observed: Any) -> None:
    build().invoke("Hello")
    assert last_decision(observed).session is None


def test_tenants_do_not_share_sessions(build: Any, observed: Any) -> None:
    build(tenant="a").invoke("Hello", thread("one"))
    build(tenant="b").invoke("Hello", thread("one"))
    one, two = (decision.session.id for decision in observed.decisions)
    assert one != two


def test_a_middlewares_own_call_leaves_the_session_where_it_is(build: Any, observed: Any) -> None:
    model = build()
    model.invoke("Hello", thread("one"))
    before = observed.decisions[-1].session
    for text in ("Summarise this", "Translate that"):
        answer = model.invoke(text, thread("one", **internal_call_metadata()))
        assert answer.response_metadata[STAMP]["reason"] == "internal_call"
    model.invoke([HumanMessage("Hello"), AIMessage("Hi."), HumanMessage("And?")], thread("one"))
    after = observed.decisions[-1]
    assert after.previous == before.current
    assert after.session.version - before.version == 2  # the outcome of the first call, and this decision


class ByName:
    """Wants the model that the text names, so that a mixed-up session would show."""

    def score(self, question: Any, models: Any) -> dict[Any, Need]:
        return {name: Need(p_success=float(name in question.text)) for name in models}

    async def ascore(self, question: Any, models: Any) -> dict[Any, Need]:
        await asyncio.sleep(0)
        return self.score(question, models)


@pytest.fixture
def crowd() -> SessionRouterChatModel:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.outputs import ChatGeneration, ChatResult

    class Echo(BaseChatModel):
        """Says who it is and what it was asked."""

        name_: str

        @property
        def _llm_type(self) -> str:
            return "echo"

        def _generate(self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
            del stop, run_manager, kwargs
            message = AIMessage(f"{self.name_}: {messages[-1].text}", response_metadata={"model_name": self.name_})
            return ChatResult(generations=[ChatGeneration(message=message)])

    names = ["red", "green", "blue"]
    router = Router({name: Echo(name_=name) for name in names}, prices=dict.fromkeys(names, Prices(input=1.0, output=1.0)), scorer=ByName())
    return SessionRouterChatModel(router=router)


def script(number: int) -> list[str]:
    names = ["red", "green", "blue"]
    return [f"{names[(number + turn) % 3]} please, {number}/{turn}" for turn in range(4)]


def assert_unmixed(number: int, history: list[BaseMessage]) -> None:
    answers = [message for message in history if isinstance(message, AIMessage)]
    previous: str | None = None
    for text, answer in zip(script(number), answers, strict=True):
        name = text.split()[0]
        assert answer.text == f"{name}: {text}"
        expected = "keep" if previous in {None, name} else "switch"
        assert (answer.response_metadata[STAMP]["model"], answer.response_metadata[STAMP]["decision"]) == (name, expected)
        previous = name


async def test_many_tasks_through_one_instance_do_not_mix(crowd: SessionRouterChatModel) -> None:
    async def converse(number: int) -> list[BaseMessage]:
        history: list[BaseMessage] = []
        for text in script(number):
            history.append(HumanMessage(text))
            history.append(await crowd.ainvoke(history, thread(str(number))))
        return history

    for number, history in enumerate(await asyncio.gather(*map(converse, range(TASKS)))):
        assert_unmixed(number, history)


def test_many_threads_through_one_instance_do_not_mix(crowd: SessionRouterChatModel) -> None:
    def converse(number: int) -> list[BaseMessage]:
        history: list[BaseMessage] = []
        for text in script(number):
            history.append(HumanMessage(text))
            history.append(crowd.invoke(history, thread(str(number))))
        return history

    with ThreadPoolExecutor(THREADS) as pool:
        for number, history in enumerate(pool.map(converse, range(4 * THREADS))):
            assert_unmixed(number, history)


async def test_many_streams_at_once_over_http_do_not_mix(build: Any, stage: Stage) -> None:
    model = build()

    async def ask(number: int) -> str:
        return "".join([chunk.text async for chunk in model.astream(f"number {number}", thread(str(number)))])

    assert await asyncio.gather(*map(ask, range(24))) == [f"You said: number {number}" for number in range(24)]
    stage.assert_sound()
