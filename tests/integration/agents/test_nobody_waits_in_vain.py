"""Whoever leads for others and is cancelled, wherever that is: those who ask the same go on at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from integration.agents.test_stored_answers import HOURS, SAME, router_of
from session_router import SemanticCache
from session_router.core.model import ModelName
from session_router_langchain import SessionRouterChatModel
from session_router_langchain.stored_answers import answer_in
from support.agents import RestlessScorer

if TYPE_CHECKING:
    from support.agents import Stage


class HangingScorer(RestlessScorer):
    """Does not answer the first time."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = asyncio.Event()

    async def ascore(self, question: object, models: Any) -> Any:
        if not self.begun.is_set():
            self.begun.set()
            await asyncio.Event().wait()
        return self.score(question, models)


async def test_a_caller_that_is_cancelled_while_it_is_decided_keeps_nobody_waiting(astage: Stage) -> None:
    scorer = HangingScorer()
    model = SessionRouterChatModel(router=router_of(astage, SemanticCache(), scorer=scorer), principal="ada")
    task = asyncio.create_task(model.ainvoke([HumanMessage(HOURS)]))
    await scorer.begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(model.ainvoke([HumanMessage(SAME)]), timeout=10)


async def test_a_caller_that_is_cancelled_while_its_outcome_is_told_keeps_nobody_waiting(
    astage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    router, begun = router_of(astage, SemanticCache()), asyncio.Event()

    async def hang(*_: object) -> None:
        begun.set()
        await asyncio.Event().wait()

    model = SessionRouterChatModel(router=router, principal="ada")
    with monkeypatch.context() as patch:
        patch.setattr(router, "aobserve", hang)
        task = asyncio.create_task(model.ainvoke([HumanMessage(HOURS)]))
        await begun.wait()
        task.cancel()
        # The error is kept, and the frames with it.
        kept = await asyncio.gather(task, return_exceptions=True)
    await asyncio.wait_for(model.ainvoke([HumanMessage(SAME)]), timeout=10)
    assert isinstance(kept[0], asyncio.CancelledError)


@pytest.mark.parametrize(
    "beside",
    [
        {"response_metadata": {"grounding_metadata": {"grounding_chunks": [{"web": {"uri": "https://example.org"}}]}}},
        {"additional_kwargs": {"citations": ["https://example.org"]}},
    ],
)
def test_an_answer_whose_sources_stand_beside_it_was_searched_for(beside: Any) -> None:
    def answer(**fields: Any) -> Any:
        return answer_in(AIMessage("It rains.", **fields), model=ModelName("m"), prices=None, usage=None, asked_at=0.0, at=1.0)

    assert answer(**beside).tool_derived
    assert not answer(response_metadata={"grounding_metadata": {}}).tool_derived
