"""Thumbs on the answers of a real agent: what they change, when, and in which process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from session_router import Feedback, Policy, Prices
from session_router.core.feedback import Heard
from session_router.core.need import Need
from session_router.stores.memory import MemorySessionStore
from session_router_langchain import SessionRouterChatModel, SessionRouterMiddleware
from support.agents import CHAT, CLAUDE, Stage, agent_of, asks, call

if TYPE_CHECKING:
    from collections.abc import Mapping

    from session_router.router import Router

UP, DOWN = Feedback.thumbs(up=True), Feedback.thumbs(up=False)
KEY = b"k" * 32
LOOP = [asks(call("weather", city="Rome"), call("clock", city="Rome")), asks(call("clock", city="Pisa")), "Done."]


@dataclass(frozen=True)
class Steady:
    """A scorer that always says the same: the cheap model is good, the strong one a little better."""

    def score(self, question: object, models: Mapping[Any, Any]) -> dict[Any, Need]:
        del question
        return {name: Need(p_success={CHAT: 0.9, CLAUDE: 0.93}[name]) for name in models}

    async def ascore(self, question: object, models: Mapping[Any, Any]) -> dict[Any, Need]:
        return self.score(question, models)


def router_of(stage: Stage, store: MemorySessionStore) -> Router:
    """The cheap model costs next to nothing, the strong one what makes it worth its price where the cheap one fails often."""
    return stage.router(
        {CHAT: stage.chat(), CLAUDE: stage.claude()},
        scorer=Steady(),
        policy=Policy(stake=0.08),
        prices={CHAT: Prices(input=0.1, output=0.4), CLAUDE: Prices(input=5.0, output=25.0)},
        store=store,
        key=KEY,
    )


def stamps(messages: list[Any]) -> list[dict[str, Any]]:
    return [message.response_metadata["session_router"] for message in messages if isinstance(message, AIMessage)]


class Talking:
    """One conversation with an agent: in a thread that a checkpoint keeps, else the router's store keeps its session."""

    def __init__(self, stage: Stage, router: Router, *, thread: str | None = None) -> None:
        middleware = SessionRouterMiddleware(router, principal="ada")
        self.agent = agent_of(stage, router=middleware, checkpointer=None if thread is None else InMemorySaver())
        self.config: Any = {} if thread is None else {"configurable": {"thread_id": thread}}
        self.history: list[Any] = []

    def turn(self) -> list[dict[str, Any]]:
        """Ask once, and return the facts of the answers."""
        before, new = self.history, HumanMessage("go")
        self.history = self.agent.invoke({"messages": [new] if self.config else [*before, new]}, self.config)["messages"]
        return stamps(self.history[len(before) :])


def test_thumbs_down_lead_to_the_strong_model_and_thumbs_up_back_again(stage: Stage) -> None:
    stage.witness.script = {"go": LOOP * 40}
    stage.witness.in_order = True
    router = router_of(stage, MemorySessionStore())
    talk = Talking(stage, router)
    liked: list[dict[str, Any]] = []
    for _ in range(12):
        facts = talk.turn()
        # The whole loop on one model, whatever is thought of it.
        assert len({one["model"] for one in facts}) == 1
        assert [one["reason"] for one in facts[1:]] == ["locked"] * 2
        if facts[0]["model"] == CLAUDE:
            break
        liked.append(facts[-1])
        assert router.feedback(facts[-1], DOWN) is Heard.LEARNED
    assert facts[0]["model"] == CLAUDE
    assert liked
    # Somebody looks into the matter, and finds that the cheap model's answers had been right.
    for one in liked:
        assert router.feedback(one["decision_id"], Feedback.task(success=True)) is Heard.LEARNED
    for _ in range(12):
        facts = talk.turn()
        if facts[0]["model"] == CHAT:
            break
    assert facts[0]["model"] == CHAT
    stage.assert_sound(talk.history)


def test_without_thumbs_nothing_moves(stage: Stage) -> None:
    """The broken variant of the test above: nobody listens."""
    stage.witness.script = {"go": LOOP * 40}
    stage.witness.in_order = True
    talk = Talking(stage, router_of(stage, MemorySessionStore()))
    assert {one["model"] for _ in range(13) for one in talk.turn()} == {CHAT}


def test_a_thread_that_its_checkpoint_keeps_teaches_the_threads_after_it(stage: Stage) -> None:
    stage.witness.script = {"go": LOOP * 40}
    stage.witness.in_order = True
    store = MemorySessionStore()
    here, elsewhere = router_of(stage, store), router_of(stage, store)
    talk = Talking(stage, here, thread="a")
    for _ in range(10):
        facts = talk.turn()[-1]
        # The process that hears of it has never seen the decision: the answer's facts say what it was about.
        assert elsewhere.feedback(facts, DOWN) is Heard.LATER_SESSIONS
        assert elsewhere.feedback(facts, DOWN) is Heard.REPEATED
    assert talk.turn()[0]["model"] == CHAT
    assert Talking(stage, here, thread="b").turn()[0]["model"] == CLAUDE


def test_facts_on_messages_name_no_session(stage: Stage) -> None:
    """Messages go to clients."""
    store = MemorySessionStore()
    facts = Talking(stage, router_of(stage, store)).turn()
    assert store._sessions
    assert not [session for session in store._sessions if session in repr(facts)]
    assert {"segment", "model", "p_success"} == set(facts[-1]["boundary"])


@pytest.mark.parametrize("streamed", [False, True])
def test_an_answer_of_the_chat_model_says_what_feedback_is_about(stage: Stage, streamed: bool) -> None:
    store = MemorySessionStore()
    model = SessionRouterChatModel(router=router_of(stage, store), principal="ada")
    answer: Any = model.invoke("go")
    if streamed:
        chunks = list(model.stream("go"))
        answer = chunks[0]
        for chunk in chunks[1:]:
            answer += chunk
        assert isinstance(answer, AIMessageChunk)
    assert router_of(stage, store).feedback(answer.response_metadata["session_router"], DOWN) is Heard.LATER_SESSIONS
    assert model.router.feedback(answer.response_metadata["session_router"]["decision_id"], UP) is Heard.LEARNED
