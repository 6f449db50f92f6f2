"""What a passage asks of its driver, each effect and what it is answered with; and how the router does its part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

from session_router.waiting import await_, wait

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage

    from session_router.core.cached import CachedAnswer
    from session_router.core.call import Call, Outcome
    from session_router.core.decision import Decision
    from session_router.core.model import ModelName
    from session_router.core.session import Session
    from session_router.router import Router

Response = TypeVar("Response")


@dataclass(frozen=True, slots=True)
class Route:
    """Answered with a `Decision`."""

    call: Call


@dataclass(frozen=True, slots=True)
class Attempt:
    """Answered with `Answered` or `Broken`: what the chosen model did.

    Attributes:
        decision: Who was chosen.
        wanted: Whether the answer is to be kept.
    """

    decision: Decision
    wanted: bool = False


@dataclass(frozen=True, slots=True)
class Observe:
    """Answered with `Session | None`."""

    decision: Decision
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Keep:
    """Answered with `None`: the cache is told of an answer."""

    decision: Decision
    answer: CachedAnswer


@dataclass(frozen=True, slots=True)
class Replay:
    """Answered with `None`: the stored answer of a decision is replayed."""

    decision: Decision


@dataclass(frozen=True, slots=True)
class Admit:
    """Answered with whether the next model may be asked.

    Attributes:
        is_retry: Whether it has failed this call before: such calls have a budget.
    """

    is_retry: bool


@dataclass(frozen=True, slots=True)
class Pause:
    """Answered with the time, in POSIX seconds, after so many seconds."""

    seconds: float


Effect: TypeAlias = Route | Attempt | Observe | Keep | Replay | Admit | Pause


@dataclass(frozen=True, slots=True)
class Answered(Generic[Response]):
    """The model answered.

    Attributes:
        response: What the framework gets.
        message: The whole answer in it, if there is one.
        own: What the chosen model itself answered to what was asked; `None` where that is not certain, or nobody wants to keep it.
        author: The provider's id of the model that wrote the message; `None` where it is as the message says.
        asked: The route whose model was asked last; `None` where it is the chosen one, or nobody knows.
        made_up: Whether no model wrote the message: middleware put it in an answer's place.
        error: How the model failed that failed last; `None` where none did.
    """

    response: Response
    message: AIMessage | None
    own: AIMessage | None = None
    author: str | None = None
    asked: ModelName | None = None
    made_up: bool = False
    error: BaseException | None = None


@dataclass(frozen=True, slots=True)
class Broken:
    """The model failed.

    Attributes:
        error: How.
        delivered: Whether the user has seen part of an answer.
    """

    error: BaseException
    delivered: bool


def perform(router: Router, effect: Route | Observe | Keep | Replay | Admit | Pause) -> Decision | Session | str | float | None:
    """Do what a passage asks of the router."""
    match effect:
        case Admit():
            return router.admit(is_retry=effect.is_retry)
        case Pause():
            return wait(router.clock, effect.seconds)
        case Route():
            return router.route(effect.call)
        case Observe():
            return router.observe(effect.decision, effect.outcome)
        case Keep():
            return router.keep(effect.decision, effect.answer)
        case Replay():
            router.replayed(effect.decision)
            return None


async def aperform(router: Router, effect: Route | Observe | Keep | Replay | Admit | Pause) -> Decision | Session | str | float | None:
    """Do what `perform` does without blocking the event loop."""
    match effect:
        case Admit():
            return router.admit(is_retry=effect.is_retry)
        case Pause():
            return await await_(router.clock, effect.seconds)
        case Route():
            return await router.aroute(effect.call)
        case Observe():
            return await router.aobserve(effect.decision, effect.outcome)
        case Keep():
            return await router.akeep(effect.decision, effect.answer)
        case Replay():
            await router.areplayed(effect.decision)
            return None
