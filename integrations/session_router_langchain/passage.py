"""One model call from routing to outcome, written once: a generator pumped sync or async, streamed or not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar, cast

from session_router.core.call import Call, Outcome
from session_router_langchain.delivery import DeliveryProbe
from session_router_langchain.outcomes import after_failure, failure_of, is_control_flow, outcome_of

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage

    from session_router.core.decision import Decision
    from session_router.core.session import Session
    from session_router.router import Router

Response = TypeVar("Response")


class Relay(Protocol):
    """Passes one attempt's stream on."""

    @property
    def delivered(self) -> bool:
        """Whether anything has been passed on."""
        ...

    def pass_on(self, item: Any) -> Iterator[Any]:  # noqa: ANN401 -- each stream has its own items
        """Take one item; yield what may go out now."""
        ...

    def rest(self) -> Iterator[Any]:
        """Yield what is held back."""
        ...

    def answered(self) -> Answered[None]:
        """Return the end of the stream."""
        ...


@dataclass(frozen=True, slots=True)
class Route:
    """Answered with a `Decision`."""

    call: Call


@dataclass(frozen=True, slots=True)
class Attempt:
    """Answered with `Answered` or `Broken`: what the chosen model did."""

    decision: Decision


@dataclass(frozen=True, slots=True)
class Observe:
    """Answered with `Session | None`."""

    decision: Decision
    outcome: Outcome


Effect: TypeAlias = Route | Attempt | Observe


@dataclass(frozen=True, slots=True)
class Answered(Generic[Response]):
    """The model answered.

    Attributes:
        response: What the framework gets.
        message: The whole answer in it, if there is one.
    """

    response: Response
    message: AIMessage | None


@dataclass(frozen=True, slots=True)
class Broken:
    """The model failed.

    Attributes:
        error: How.
        delivered: Whether the user has seen part of an answer.
    """

    error: BaseException
    delivered: bool


@dataclass(frozen=True, slots=True)
class Passed(Generic[Response]):
    """The end of a passage.

    Attributes:
        response: What the framework gets.
        message: The whole answer in it, if there is one.
        decision: Who was chosen, and why.
        outcome: What came of it.
        session: The session as stored, or to be carried on.
    """

    response: Response
    message: AIMessage | None
    decision: Decision
    outcome: Outcome
    session: Session | None


def passage(router: Router, call: Call) -> Generator[Effect, Any, Passed[Any]]:
    """Route `call`, let the chosen model answer, fall back where that is safe, and say what came of it.

    Raises:
        SessionRouterError: The call was refused.
        Exception: The model failed and nothing may take its place; after several failures, the first.
    """
    first: BaseException | None = None
    while True:
        decision: Decision = yield Route(call)
        if decision.model is None and first is not None:
            raise first
        decision.chosen()
        result: Answered[Any] | Broken = yield Attempt(decision)
        at = router.clock.now()
        if isinstance(result, Answered):
            if result.message is None:
                outcome = Outcome(at=at, model=decision.model, seconds=max(0.0, at - decision.at))
            else:
                outcome = outcome_of(result.message, decision, router.models, at=at)
            session: Session | None = yield Observe(decision, outcome)
            return Passed(result.response, result.message, decision, outcome, session)
        if is_control_flow(result.error):
            raise result.error
        session = yield Observe(decision, failure_of(result.error, decision, at=at))
        following = after_failure(call, decision, session, result.error, delivered=result.delivered)
        if following is None:
            raise result.error
        first, call = first or result.error, following


def drive(
    router: Router,
    call: Call,
    attempt: Callable[[Decision, DeliveryProbe], Response],
    answer_in: Callable[[Response], AIMessage | None],
) -> Passed[Response]:
    """Pump a passage.

    Args:
        router: Who decides.
        call: What to route.
        attempt: Asks the chosen model, with the probe among its callbacks, and returns what the framework gets.
        answer_in: Finds the answer in what `attempt` returned.
    """
    steps = passage(router, call)
    effect = next(steps)
    try:
        while True:
            if isinstance(effect, Route):
                effect = steps.send(router.route(effect.call))
            elif isinstance(effect, Observe):
                effect = steps.send(router.observe(effect.decision, effect.outcome))
            else:
                probe = DeliveryProbe()
                try:
                    response = attempt(effect.decision, probe)
                    result = Answered(response, answer_in(response))
                except BaseException as error:  # noqa: BLE001 -- the passage decides what goes up
                    result = Broken(error, probe.delivered)
                effect = steps.send(result)
    except StopIteration as stop:
        return cast("Passed[Response]", stop.value)


async def adrive(
    router: Router,
    call: Call,
    attempt: Callable[[Decision, DeliveryProbe], Awaitable[Response]],
    answer_in: Callable[[Response], AIMessage | None],
) -> Passed[Response]:
    """Do what `drive` does without blocking the event loop."""
    steps = passage(router, call)
    effect = next(steps)
    try:
        while True:
            if isinstance(effect, Route):
                effect = steps.send(await router.aroute(effect.call))
            elif isinstance(effect, Observe):
                effect = steps.send(await router.aobserve(effect.decision, effect.outcome))
            else:
                probe = DeliveryProbe()
                try:
                    response = await attempt(effect.decision, probe)
                    result = Answered(response, answer_in(response))
                except BaseException as error:  # noqa: BLE001 -- the passage decides what goes up
                    result = Broken(error, probe.delivered)
                effect = steps.send(result)
    except StopIteration as stop:
        return cast("Passed[Response]", stop.value)


def stream(router: Router, call: Call, start: Callable[[Decision], Iterator[Any]], relay_of: Callable[[Decision], Relay]) -> Iterator[Any]:
    """Pump a passage whose attempts are streams.

    Args:
        router: Who decides.
        call: What to route.
        start: Begins the chosen model's stream.
        relay_of: Makes the relay of one attempt.

    Yields:
        What the relays pass on.
    """
    steps = passage(router, call)
    effect = next(steps)
    while True:
        result: Any
        if isinstance(effect, Route):
            result = router.route(effect.call)
        elif isinstance(effect, Observe):
            result = router.observe(effect.decision, effect.outcome)
        else:
            relay = relay_of(effect.decision)
            try:
                for item in start(effect.decision):
                    yield from relay.pass_on(item)
                yield from relay.rest()
                result = relay.answered()
            except Exception as error:  # noqa: BLE001 -- the passage decides what goes up
                result = Broken(error, relay.delivered)
        try:
            effect = steps.send(result)
        except StopIteration:
            return


async def astream(
    router: Router, call: Call, start: Callable[[Decision], AsyncIterator[Any]], relay_of: Callable[[Decision], Relay]
) -> AsyncIterator[Any]:
    """Do what `stream` does without blocking the event loop."""
    steps = passage(router, call)
    effect = next(steps)
    while True:
        result: Any
        if isinstance(effect, Route):
            result = await router.aroute(effect.call)
        elif isinstance(effect, Observe):
            result = await router.aobserve(effect.decision, effect.outcome)
        else:
            relay = relay_of(effect.decision)
            try:
                async for item in start(effect.decision):
                    for ready in relay.pass_on(item):
                        yield ready
                for ready in relay.rest():
                    yield ready
                result = relay.answered()
            except Exception as error:  # noqa: BLE001 -- the passage decides what goes up
                result = Broken(error, relay.delivered)
        try:
            effect = steps.send(result)
        except StopIteration:
            return
