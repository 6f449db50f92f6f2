"""Terse constructors of core values, and ports that fail on request."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from session_router.core.binding import Binding, BindingKind, BindingReach
from session_router.core.call import Call, Outcome
from session_router.core.model import ModelName, ModelSpec
from session_router.core.need import Need, Question
from session_router.core.policy import Policy
from session_router.core.pricing import Prices
from session_router.core.session import SessionId
from session_router.core.step import Ask, AskKind, Role, Step
from session_router.core.transcript import Transcript
from session_router.router import Router
from session_router.stores.memory import MemorySessionStore

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from session_router.core.session import Session

FAST, STRONG, OTHER = ModelName("fast"), ModelName("strong"), ModelName("other")
SESSION = SessionId("5e" * 32)


def digest(*parts: object) -> bytes:
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).digest()


def step(role: Role, *parts: object, tokens: int = 10, **fields: Any) -> Step:
    return Step(role=role, digest=digest(role, *parts), tokens=tokens, **fields)


def system(text: str = "be brief", **fields: Any) -> Step:
    return step(Role.SYSTEM, text, **fields)


def human(text: str = "hello", **fields: Any) -> Step:
    return step(Role.HUMAN, text, **fields)


def injected(text: str = "summary") -> Step:
    return human(text, injected=True)


def ai(*asks: str | Ask, by: str | None = FAST, **fields: Any) -> Step:
    read = tuple(Ask(id=ask) if isinstance(ask, str) else ask for ask in asks)
    return step(Role.AI, read, by, asks=read, author=by, **fields)


def tool(*answers: str, **fields: Any) -> Step:
    return step(Role.TOOL, answers, answers=answers, **fields)


def client_block(name: str) -> Ask:
    return Ask(id=name, kind=AskKind.CLIENT_BLOCK)


def invalid_call(name: str) -> Ask:
    return Ask(id=name, kind=AskKind.INVALID_CALL)


def server_tool(name: str) -> Ask:
    return Ask(id=name, kind=AskKind.SERVER_TOOL)


def signed(by: str) -> Binding:
    """Thinking that only its writer takes back, and that a conversion strips."""
    return Binding(kind=BindingKind.SIGNED_THINKING, reach=BindingReach.MODEL, holder=by)


def kept_at(account: str) -> Binding:
    """History that only the provider holds: no conversion carries it."""
    return Binding(kind=BindingKind.PREVIOUS_RESPONSE, reach=BindingReach.ACCOUNT, holder=account)


def transcript(*steps: Step) -> Transcript:
    return Transcript().extended(steps)


def spec(price: float = 1.0, **fields: Any) -> ModelSpec:
    return ModelSpec(model="simulated", prices=Prices(input=price, output=5 * price), **fields)


def specs(**fields: Any) -> dict[ModelName, ModelSpec]:
    """Two routes, `fast` and `strong`, with the same fields."""
    return {FAST: spec(1.0, **fields), STRONG: spec(10.0, **fields)}


def call_of(*steps: Step, now: float = 1000.0, session: SessionId | None = SESSION, **fields: Any) -> Call:
    history = transcript(*steps)
    return Call(transcript=history, question=Question(text="", turn=history.turn), now=now, session=session, **fields)


@dataclass
class Prefers:
    """A scorer that is sure of one model; `wants` may be changed between calls."""

    wants: str = FAST
    asked: int = 0

    def score(self, question: Question, models: Mapping[ModelName, ModelSpec]) -> Mapping[ModelName, Need]:
        del question
        self.asked += 1
        return {name: Need(p_success=1.0 if name == self.wants else 0.0) for name in models}

    async def ascore(self, question: Question, models: Mapping[ModelName, ModelSpec]) -> Mapping[ModelName, Need]:
        return self.score(question, models)


@dataclass
class Answers:
    """A scorer that runs `say`: to fail, or to say something else than it should."""

    say: Callable[[Mapping[ModelName, ModelSpec]], Any]

    def score(self, question: Question, models: Mapping[ModelName, ModelSpec]) -> Any:
        del question
        return self.say(models)

    async def ascore(self, question: Question, models: Mapping[ModelName, ModelSpec]) -> Any:
        return self.score(question, models)


@dataclass
class FlakyStore:
    """A store in memory whose next loads and commits can be made to fail or to lose a race."""

    on_load: list[Exception | None] = field(default_factory=list)
    on_commit: list[Exception | bool | None] = field(default_factory=list)
    kept: MemorySessionStore = field(default_factory=MemorySessionStore)
    commits: int = 0

    def load(self, session: SessionId) -> Session | None:
        if self.on_load and (error := self.on_load.pop(0)) is not None:
            raise error
        return self.kept.load(session)

    def commit(self, session: Session) -> bool:
        self.commits += 1
        planned = self.on_commit.pop(0) if self.on_commit else None
        if isinstance(planned, Exception):
            raise planned
        return self.kept.commit(session) if planned is None else planned

    async def aload(self, session: SessionId) -> Session | None:
        return self.load(session)

    async def acommit(self, session: Session) -> bool:
        return self.commit(session)


@dataclass
class Recorder:
    """An audit log that can be full."""

    records: list[Mapping[str, Any]] = field(default_factory=list)
    full: bool = False

    def append(self, record: Mapping[str, Any]) -> None:
        if self.full:
            msg = "no space left on device"
            raise OSError(msg)
        self.records.append(record)


def router(
    models: Mapping[ModelName, ModelSpec] | None = None,
    *,
    wants: str = FAST,
    stake: float = 1.0,
    policy: Policy | None = None,
    **ports: Any,
) -> Router:
    """A router that would always go to `wants`: the stake outweighs every price."""
    ports.setdefault("scorer", Prefers(wants))
    return Router(specs() if models is None else models, policy=policy or Policy(stake=stake), key=b"k" * 32, **ports)


def answered(by: str | None, *asks: str, at: float = 1001.0) -> Outcome:
    return Outcome(at=at, model=None if by is None else ModelName(by), asks=tuple(Ask(id=ask) for ask in asks))


def failed(at: float = 1001.0) -> Outcome:
    return Outcome(at=at, model=None, error="RateLimitError")
