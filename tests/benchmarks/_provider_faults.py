"""Turns on strict provider simulators of which almost a third of the calls fail: who is answered, and what that costs the providers.

Three cleared models of one API. A call fails by a rate limit, an overload, a time-out or a broken stream, each as often; or a model,
or all of them, are down for good. Some histories end with the results of a tool: their model is locked. What providers were asked is
counted from the outcomes that an observer is told, never from the retry budget itself.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI

from session_router.core.breaker import BreakerSettings
from session_router.core.governance import Clearance, Level, Tag
from session_router.core.health import HealthRules
from session_router.core.model import ModelSpec
from session_router.core.need import Need
from session_router.core.policy import Policy
from session_router.core.pricing import Prices
from session_router.errors import NoHealthyModel
from session_router.router import Router
from session_router.testing.providers import Fault, Faults, ScriptedBehaviour, SimulatedModel, serve
from session_router_langchain import SessionRouterChatModel
from session_router_langchain.passage import NOT_ASKED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from session_router.core.call import Outcome
    from session_router.core.decision import Decision
    from session_router.core.model import ModelName
    from session_router.core.need import Question
    from session_router.testing.providers import ServedProviders

MODELS = ("one", "two", "three")
AT_ONCE = 12
TIMEOUT_SECONDS = 1.0
RETRY_AFTER_SECONDS = 0.1
FAILING = 0.30
LOCKED_SHARE = 0.2
RULES = HealthRules()
WITHOUT_BREAKER = HealthRules(breaker=BreakerSettings(failures=1_000, within_seconds=0.001))
WITHOUT_BUDGET = HealthRules(retry_share=1.0, retry_burst=1_000.0, wait_seconds=1.0)
IMPATIENT = HealthRules(wait_seconds=1.0)


class Content:
    """A scorer to whom any model is good enough: the cheapest is the first choice."""

    def score(self, question: Question, models: Mapping[ModelName, ModelSpec]) -> dict[ModelName, Need]:
        del question
        return {name: Need(p_success=1.0) for name in models}

    async def ascore(self, question: Question, models: Mapping[ModelName, ModelSpec]) -> dict[ModelName, Need]:
        return self.score(question, models)


@dataclass
class Told:
    """An observer that keeps, for each turn, who was asked, and whether it failed."""

    asked: dict[Any, list[tuple[str, bool]]] = field(default_factory=lambda: defaultdict(list))
    uncleared: int = 0
    guard: Lock = field(default_factory=Lock)

    def on_decision(self, decision: Decision) -> None:
        self.uncleared += decision.model is not None and decision.model not in MODELS

    def on_outcome(self, decision: Decision, outcome: Outcome) -> None:
        if outcome.error == NOT_ASKED or decision.model is None:
            return
        with self.guard:
            self.asked[decision.session_id].append((decision.model, outcome.error is not None))


@dataclass
class Turns:
    """What came of some turns.

    Attributes:
        counts: `answered` and `failed` at a boundary; `locked_answered`, `locked_failed` and `moved` under a lock.
        told: Who was asked.
    """

    counts: Counter[str]
    told: Told

    @property
    def answered(self) -> float:
        return self.counts["answered"] / max(1, self.unlocked)

    @property
    def unlocked(self) -> int:
        return self.counts["answered"] + self.counts["failed"]

    @property
    def calls(self) -> list[tuple[str, bool]]:
        return [one for turn in self.told.asked.values() for one in turn]

    @property
    def failing(self) -> float:
        calls = self.calls
        return sum(failed for _, failed in calls) / max(1, len(calls))

    @property
    def retries(self) -> float:
        """Calls of a model that has failed the same turn, over all others."""
        again = sum(name in [one for one, _ in turn[:at]] for turn in self.told.asked.values() for at, (name, _) in enumerate(turn))
        return again / max(1, len(self.calls) - again)

    def share_of(self, model: str) -> float:
        return sum(name == model for name, _ in self.calls) / max(1, self.counts.total())


def at_random(faults: Faults, *, failing: float = FAILING) -> None:
    """Let calls fail in four ways, each as often."""
    kinds = [
        Fault.rate_limited(retry_after=RETRY_AFTER_SECONDS),
        Fault.overloaded(),
        Fault.slow(3 * TIMEOUT_SECONDS),
        Fault.broken("before_first_token"),
    ]
    each, left = failing / len(kinds), 1.0
    for fault in kinds:
        faults.sometimes(fault, probability=each / left)
        left -= each


def down(faults: Faults, *models: str) -> None:
    """Let models answer nobody."""
    for model in models:
        faults.sometimes(Fault.overloaded(), probability=1.0, model=f"sim-{model}")


def play(faults: Faults, *, turns: int, is_async: bool, health: HealthRules | None = RULES, seed: int = 1) -> Turns:
    """Let users ask, several at once."""
    behaviour = ScriptedBehaviour({"question": ["Yes."] * 64})
    models = [SimulatedModel(id=f"sim-{name}", provider="openai", behaviour=behaviour) for name in MODELS]
    with serve(models, faults=faults) as providers:
        told = Told()
        asking = _asking(providers, told, health)
        if is_async:
            counts = asyncio.run(_aplay(asking, turns, seed))
        else:
            with ThreadPoolExecutor(AT_ONCE) as pool:
                counts = Counter(pool.map(lambda number: _turn(asking, seed + number), range(turns)))
        return Turns(counts, told)


async def _aplay(asking: Mapping[str, Any], turns: int, seed: int) -> Counter[str]:
    room = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> str:
        async with room:
            return await _aturn(asking, seed + number)

    return Counter(await asyncio.gather(*map(one, range(turns))))


def _asking(providers: ServedProviders, told: Told, health: HealthRules | None) -> Mapping[str, Any]:
    secret = Tag(level=Level.CONFIDENTIAL)
    names = [*MODELS, "uncleared"]
    # The uncleared one would be the cheapest, and would answer.
    routes = {
        name: ChatOpenAI(
            model="sim-one" if name == "uncleared" else f"sim-{name}",
            base_url=providers.openai_base_url,
            api_key="any",  # type: ignore[arg-type]
            max_retries=0,
            timeout=TIMEOUT_SECONDS,
            default_headers={"Connection": "close"},
        )
        for name in names
    }
    specs = {
        name: ModelSpec(
            model=model,
            prices=Prices(input=0.1 if name == "uncleared" else 1.0 + at, output=4.0),
            clearance=None if name == "uncleared" else Clearance(max_level=Level.RESTRICTED),
        )
        for at, (name, model) in enumerate(routes.items())
    }
    router = Router(specs, policy=Policy(unlabelled=secret), scorer=Content(), observers=[told], health=health, key=bytes(32))
    return {"model": SessionRouterChatModel(router=router, principal="anybody"), "router": router}


def _history(seed: int) -> tuple[Sequence[Any], str | None]:
    draws = random.Random(seed)
    messages: list[Any] = [HumanMessage(f"question {uuid.uuid4().hex}")]
    if draws.random() >= LOCKED_SHARE:
        return messages, None
    holder = draws.choice(MODELS)
    call = {"name": "weather", "args": {}, "id": f"call_{seed}"}
    asker = AIMessage("", tool_calls=[call], response_metadata={"session_router": {"model": holder}})
    return [*messages, asker, ToolMessage("sunny", tool_call_id=f"call_{seed}")], holder


def _turn(asking: Mapping[str, Any], seed: int) -> str:
    messages, holder = _history(seed)
    try:
        if seed % 2:
            answer = asking["model"].invoke(messages, _config())
        else:
            first, *others = list(asking["model"].stream(messages, _config()))
            answer = sum(others, first)
    except Exception as error:  # noqa: BLE001 -- whatever a provider's package raises
        return _failed(holder, error)
    return _answered(holder, answer)


async def _aturn(asking: Mapping[str, Any], seed: int) -> str:
    messages, holder = _history(seed)
    try:
        if seed % 2:
            answer = await asking["model"].ainvoke(messages, _config())
        else:
            first, *others = [chunk async for chunk in asking["model"].astream(messages, _config())]
            answer = sum(others, first)
    except Exception as error:  # noqa: BLE001 -- as above
        return _failed(holder, error)
    return _answered(holder, answer)


def _config() -> Any:
    return {"configurable": {"thread_id": uuid.uuid4().hex}}


def _answered(holder: str | None, answer: AIMessage) -> str:
    by = answer.response_metadata["session_router"]["model"]
    if holder is None:
        return "answered"
    return "locked_answered" if by == holder else "moved"


def _failed(holder: str | None, error: Exception) -> str:
    if holder is None:
        return "failed"
    # A refusal names the model that the session waited for; an error of the provider's is its own.
    clear = not isinstance(error, NoHealthyModel) or error.locked == holder
    return "locked_failed" if clear else "unclear"
