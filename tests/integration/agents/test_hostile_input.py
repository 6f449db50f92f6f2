"""Whatever somebody types, the call goes through: an agent, and a chat model, on models that take anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langchain.agents import create_agent
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage, HumanMessage

from session_router import Prices, Router
from session_router_langchain import SessionRouterChatModel, SessionRouterMiddleware

if TYPE_CHECKING:
    from collections.abc import Callable

PRICES = {"fast": Prices(input=0.25, output=2.0), "strong": Prices(input=3.0, output=15.0)}


def deep() -> HumanMessage:
    """Return a message whose content is nested deeper than Python recurses."""
    block: dict[str, Any] = {"type": "text", "text": "deep"}
    for _ in range(3_000):
        block = {"type": "text", "text": "deep", "extras": {"inner": block}}
    message = HumanMessage("x")
    message.content = [block]
    return message


HOSTILE: dict[str, Callable[[], HumanMessage]] = {
    "ten megabytes": lambda: HumanMessage("why? " * 2_000_000),
    "lone surrogates and controls": lambda: HumanMessage("a\udfff\ud800b\x00\u202e"),
    "thousands of blocks": lambda: HumanMessage([{"type": "text", "text": "why"} for _ in range(10_000)]),
    "nested content": deep,
}


class TakesAnything(FakeListChatModel):
    def bind_tools(self, *_: Any, **__: Any) -> Any:
        return self


@pytest.mark.parametrize("form", ["agent", "chat model"])
@pytest.mark.parametrize("what", HOSTILE)
def test_the_call_goes_through_and_so_does_the_next(what: str, form: str) -> None:
    router = Router({name: TakesAnything(responses=["Well."]) for name in PRICES}, prices=PRICES)
    messages: list[Any] = [HOSTILE[what]()]
    for turn in (1, 2):
        if form == "agent":
            agent = create_agent(TakesAnything(responses=[""]), tools=[], middleware=[SessionRouterMiddleware(router)])
            messages = agent.invoke({"messages": messages})["messages"]
        else:
            answer = SessionRouterChatModel(router=router).invoke(messages, {"configurable": {"thread_id": "one"}})
            messages = [*messages, answer]
        assert isinstance(messages[-1], AIMessage)
        assert messages[-1].text == "Well."
        stamp = messages[-1].response_metadata["session_router"]
        assert stamp["model"] in PRICES
        assert (stamp["reason"] == "first_call") is (turn == 1)
        messages = [*messages, HumanMessage("And now?")]
