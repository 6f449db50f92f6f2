"""A routing chat model over the simulated providers, and what watches it: callbacks and an observer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler

from session_router import Policy, Prices, Router
from session_router_langchain import SessionRouterChatModel
from support.agents import RestlessScorer, Stage

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage

UNSHARED: Any = {"default_headers": {"Connection": "close"}}
"""Provider clients share connections between instances, and a connection belongs to one event loop: each test has its own."""


class StoppedClock:
    def now(self) -> float:
        return 1_750_000_000.0


class Runs(BaseCallbackHandler):
    """Records the runs of chat models."""

    def __init__(self) -> None:
        self.started: list[dict[str, Any]] = []
        self.answers: list[AIMessage] = []
        self.errors: list[BaseException] = []

    def on_chat_model_start(self, serialized: Any, messages: Any, *, metadata: Any = None, tags: Any = None, **kwargs: Any) -> None:
        del serialized, messages
        self.started.append({"metadata": metadata or {}, "tags": tags or [], **kwargs})

    def on_llm_end(self, response: Any, **_: Any) -> None:
        self.answers.append(response.generations[0][0].message)

    def on_llm_error(self, error: BaseException, **_: Any) -> None:
        self.errors.append(error)

    @property
    def names(self) -> list[str]:
        return [run["metadata"]["ls_model_name"] for run in self.started]


@dataclass
class Observations:
    """An observer that keeps what it is told."""

    decisions: list[Any] = field(default_factory=list)
    outcomes: list[Any] = field(default_factory=list)

    def on_decision(self, decision: Any) -> None:
        self.decisions.append(decision)

    def on_outcome(self, decision: Any, outcome: Any) -> None:
        del decision
        self.outcomes.append(outcome)


@pytest.fixture
def runs() -> Runs:
    return Runs()


@pytest.fixture
def observed() -> Observations:
    return Observations()


@pytest.fixture
def build(stage: Stage, observed: Observations) -> Any:
    """Return a function that builds a routing chat model over one route a dialect; every call wants another model."""

    def make(*names: str, start: int = 0, settings: Any = None, **fields: Any) -> SessionRouterChatModel:
        routes: dict[str, Any] = {
            "chat": stage.chat(stream_usage=True, **UNSHARED),
            "responses": stage.responses(**UNSHARED),
            "claude": stage.claude(thinking=None, **UNSHARED),
        }
        routes = {name: routes[name] for name in names or routes}
        defaults: dict[str, Any] = {
            "scorer": RestlessScorer(start=start),
            "policy": Policy(stake=1.0, margin=0.0),
            "prices": dict.fromkeys(routes, Prices(input=1.0, output=4.0)),
            "observers": [observed],
            "clock": StoppedClock(),
            "key": bytes(32),
        }
        return SessionRouterChatModel(router=Router(routes, **{**defaults, **(settings or {})}), **fields)

    return make
