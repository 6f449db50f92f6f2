"""A service in a process of its own: a router from a configuration, an agent, and one question.

Arguments: the configuration, the thread, the question. Prints as JSON the answer, how it came about, and how often a model was asked.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from langchain.agents import create_agent
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver

from session_router import load_router
from session_router_langchain import SessionRouterMiddleware


class Answers:
    """Iterates over answers, and counts them."""

    def __init__(self, text: str) -> None:
        self.text, self.asked = text, 0

    def __iter__(self) -> Answers:
        return self

    def __next__(self) -> AIMessage:
        self.asked += 1
        return AIMessage(self.text, response_metadata={"finish_reason": "stop"})


def main(configuration: str, thread: str, question: str) -> None:
    answers = Answers(f"The answer that thread {thread} was given.")
    model: Any = GenericFakeChatModel(messages=answers)
    router = load_router(configuration, models={"fast": model})
    agent = create_agent(model, tools=[], middleware=[SessionRouterMiddleware(router, principal="ada")], checkpointer=InMemorySaver())
    said = agent.invoke({"messages": [("user", question)]}, {"configurable": {"thread_id": thread}})["messages"][-1]
    facts = said.response_metadata.get("session_router", {})
    sys.stdout.write(json.dumps({"text": said.text, "decision": facts.get("decision"), "asked": answers.asked}))


if __name__ == "__main__":
    main(*sys.argv[1:])
