"""A service in a process of its own: a router from a configuration, an agent, and one question.

Arguments: the configuration, the thread, the question. Prints as JSON the answer, how it came about, and how often a model was asked.
"""

from __future__ import annotations

import json
import sys
from typing import Any, ClassVar

from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph.checkpoint.memory import InMemorySaver

from session_router import load_router
from session_router_langchain import SessionRouterMiddleware


class Answers(BaseChatModel):
    """Says the same to everybody, and counts how often it was asked."""

    asked: ClassVar[int] = 0

    @property
    def _llm_type(self) -> str:
        return "answers"

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **settings: Any) -> ChatResult:
        del messages, stop, run_manager, settings
        Answers.asked += 1
        said = AIMessage("From nine to five.", response_metadata={"finish_reason": "stop", "model_name": "small"})
        return ChatResult(generations=[ChatGeneration(message=said)])


def main(configuration: str, thread: str, question: str) -> None:
    model: Any = Answers()
    router = load_router(configuration, models={"fast": model})
    agent = create_agent(model, tools=[], middleware=[SessionRouterMiddleware(router, principal="ada")], checkpointer=InMemorySaver())
    said = agent.invoke({"messages": [("user", question)]}, {"configurable": {"thread_id": thread}})["messages"][-1]
    facts = said.response_metadata.get("session_router", {})
    sys.stdout.write(json.dumps({"text": said.text, "decision": facts.get("decision"), "asked": Answers.asked}))


if __name__ == "__main__":
    main(*sys.argv[1:])
