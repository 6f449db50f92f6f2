"""Labels and attestations that end while a call is on its way: what was permitted is asked again just before it is sent."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from session_router import Clearance, ModelSpec, Policy, Prices, Router, Tag
from session_router.core.cache_terms import CacheRules
from session_router.core.cached import CachedAnswer, CacheHit, CacheMiss, MissReason, Tier
from session_router.core.model import ModelName
from session_router.core.need import Need
from session_router.errors import NoClearedModel
from session_router.testing.providers import SimulatedClock
from session_router_langchain import SessionRouterChatModel
from session_router_langchain.tagging import labelled

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

pytestmark = pytest.mark.timeout(60)

START = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
BRIEF = Tag(expires_at=START + 60.0)
MINUTES = 120.0
WAYS = ("invoke", "ainvoke", "stream")


class Told(BaseChatModel):
    """Notes when it was asked, and what."""

    name: str = "told"
    asked: list[tuple[float, str]] = []  # noqa: RUF012 -- a field of a pydantic model
    clock: Any = None
    fails_after: float | None = None

    @property
    def _llm_type(self) -> str:
        return "told"

    def _generate(self, messages: list[Any], *_: Any, **__: Any) -> ChatResult:
        self.asked.append((self.clock.now(), " ".join(str(one.content) for one in messages)))
        if self.fails_after is not None:
            self.clock.advance(self.fails_after)
            msg = "it broke"
            raise ConnectionError(msg)
        return ChatResult(generations=[ChatGeneration(message=AIMessage("well"))])


class Slow:
    """A scorer that takes its time, once: everything that a decision waits for may."""

    def __init__(self, clock: SimulatedClock, seconds: float) -> None:
        self._clock, self.seconds, self.asked = clock, seconds, 0

    def score(self, question: object, models: Mapping[Any, Any]) -> dict[Any, Need]:
        del question
        self.asked += 1
        seconds, self.seconds = self.seconds, 0.0
        self._clock.advance(seconds)
        return {name: Need(p_success=1.0 if number == 0 else 0.5) for number, name in enumerate(models)}

    async def ascore(self, question: object, models: Mapping[Any, Any]) -> dict[Any, Need]:
        return self.score(question, models)


class Setting:
    def __init__(self, *clearances: Clearance, **settings: Any) -> None:
        self.clock = SimulatedClock()
        self.scorer = Slow(self.clock, settings.pop("seconds", MINUTES))
        rules = {"sources": {"human": Tag(), "ai": Tag()}, **settings.pop("policy", {})}
        self.models = [Told(name=f"m{number}", asked=[], clock=self.clock) for number in range(len(clearances))]
        prices = Prices(input=1.0, output=4.0)
        routes = {one.name: ModelSpec(model=one, prices=prices, clearance=two) for one, two in zip(self.models, clearances, strict=True)}
        policy = Policy(stake=1.0, margin=0.0, **rules)
        self.router = Router(routes, policy=policy, scorer=self.scorer, clock=self.clock, key=b"k" * 32, health=None, **settings)
        self.model = SessionRouterChatModel(router=self.router, principal="ada")

    @property
    def asked(self) -> list[tuple[str, float]]:
        return [(model.name, time - START) for model in self.models for time, _ in model.asked]

    async def ask(self, way: str, *messages: Any) -> Any:
        config: Any = {"configurable": {"thread_id": "t"}}
        given = list(messages)
        match way:
            case "invoke":
                return await asyncio.to_thread(self.model.invoke, given, config)
            case "ainvoke":
                return await self.model.ainvoke(given, config)
            case _:
                return list(self.model.stream(given, config))


@pytest.mark.parametrize("way", WAYS)
async def test_a_label_that_ends_while_it_is_decided_is_not_sent(way: str) -> None:
    setting = Setting(Clearance(), Clearance())
    with pytest.raises(NoClearedModel):
        await setting.ask(way, labelled(HumanMessage("until noon"), BRIEF))
    assert setting.asked == []


@pytest.mark.parametrize("way", WAYS)
async def test_a_model_whose_attestation_ends_meanwhile_is_not_asked(way: str) -> None:
    setting = Setting(Clearance(attested_until=START + 60.0), Clearance())
    await setting.ask(way, labelled(HumanMessage("hello"), Tag()))
    assert setting.asked == [("m1", MINUTES)]
    (row,) = setting.router.store._sessions.values()  # type: ignore[attr-defined] # the store in memory
    assert (row.current, row.call, set(row.visits)) == ("m1", 2, {"m1"})


async def test_what_holds_on_is_decided_once() -> None:
    setting = Setting(Clearance(attested_until=START + 1e6), Clearance())
    await setting.ask("ainvoke", labelled(HumanMessage("hello"), Tag(expires_at=START + 1e6)))
    assert (setting.scorer.asked, len(setting.asked)) == (1, 1)


class Waits:
    """A cache in which somebody else asks the same, for minutes; what comes then was given, or is nothing."""

    def __init__(self, clock: SimulatedClock, found: Sequence[CacheHit] = ()) -> None:
        self._clock, self._found, self.abandoned = clock, [*found], 0

    def look_up(self, question: Any) -> CacheHit | CacheMiss:
        del question
        self._clock.advance(MINUTES)
        return self._found.pop(0) if self._found else CacheMiss(reason=MissReason.NOTHING, waited=True)

    async def alook_up(self, question: Any) -> CacheHit | CacheMiss:
        return self.look_up(question)

    def store(self, *_: Any) -> str | None:
        return None

    async def astore(self, *_: Any) -> str | None:
        return None

    def abandon(self, question: Any) -> None:
        del question
        self.abandoned += 1

    def veto(self, hit: Any) -> None: ...

    async def aveto(self, hit: Any) -> None: ...

    def erase(self, subject: str, *, now: float) -> int:
        del subject, now
        return 0

    async def aerase(self, subject: str, *, now: float) -> int:
        return self.erase(subject, now=now)

    def counts(self) -> dict[str, int]:
        return {}


@pytest.mark.parametrize("way", WAYS)
async def test_a_label_that_ends_while_somebody_else_asks_the_same_is_not_sent(way: str) -> None:
    setting = Setting(Clearance(), Clearance(), seconds=0.0, policy={"cache": CacheRules(reader=Clearance())})
    setting.router.cache = cache = Waits(setting.clock)
    with pytest.raises(NoClearedModel):
        await setting.ask(way, labelled(HumanMessage("until noon"), BRIEF))
    assert setting.asked == []
    assert cache.abandoned == 1


async def test_a_stored_answer_whose_label_ends_while_it_is_looked_for_is_not_replayed() -> None:
    """Whoever waits for the same question of another's may wait for minutes. The question itself may go on to a model."""
    setting = Setting(Clearance(), seconds=0.0, policy={"cache": CacheRules(reader=Clearance())})
    answer = CachedAnswer(content="until noon", model=ModelName("m0"), at=START, tag=BRIEF)
    setting.router.cache = Waits(setting.clock, [CacheHit(entry="e", tier=Tier.EXACT, answer=answer, age_seconds=0.0)])
    decisions: list[Any] = []

    class Watch:
        def on_decision(self, decision: Any) -> None:
            decisions.append(decision)

        def on_outcome(self, *_: Any) -> None: ...

    setting.router.observers = (Watch(),)
    told = await setting.ask("ainvoke", labelled(HumanMessage("What are your opening hours?"), Tag()))
    assert [decision.hit is not None for decision in decisions] == [True, False]
    assert told.text == "well"


async def test_a_smaller_request_is_asked_about_at_the_time_of_its_attempt() -> None:
    """A first attempt took minutes, and failed."""
    setting = Setting(Clearance(), Clearance(), seconds=0.0, policy={"on_denied": ("fresh", "withhold")})
    for model in setting.models:
        model.fails_after = MINUTES
    history = [labelled(HumanMessage("hello"), Tag()), labelled(AIMessage("hi"), Tag()), labelled(HumanMessage("until noon"), BRIEF)]
    with pytest.raises((NoClearedModel, ConnectionError)):
        await setting.ask("ainvoke", *history)
    late = [text for model in setting.models for time, text in model.asked if time >= BRIEF.expires_at]  # type: ignore[operator] # it has one
    assert not any("until noon" in text for text in late)
    assert len(setting.asked) >= 1
