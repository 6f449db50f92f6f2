"""One model call from routing to outcome, written once: a generator pumped sync or async, streamed or not."""

from __future__ import annotations

from contextlib import aclosing, closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar, cast

from session_router.core.call import Call, Outcome
from session_router.errors import InternalError
from session_router_langchain.delivery import DeliveryProbe
from session_router_langchain.outcomes import after_failure, failure_of, is_control_flow, outcome_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator

    from langchain_core.messages import AIMessage

    from session_router.core.decision import Decision
    from session_router.core.session import Session
    from session_router.router import Router

Response = TypeVar("Response")
Item = TypeVar("Item")


class Relay(Protocol[Item]):
    """Passes one attempt's stream on."""

    @property
    def delivered(self) -> bool:
        """Whether anything has been passed on."""
        ...

    @property
    def complete(self) -> bool:
        """Whether the whole answer is there, though the stream may go on."""
        ...

    def pass_on(self, item: Item, /) -> Iterator[Item]:
        """Take one item; yield what may go out now."""
        ...

    def answer(self) -> AIMessage | None:
        """Return the whole answer; `None` when it was not seen."""
        ...

    def ending(self, passed: Passed[None]) -> Iterator[Item]:
        """Yield what was held back until it was known what came of the call."""
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


def passage(router: Router, call: Call, *, artificial: bool = False) -> Generator[Effect, Any, Passed[Any]]:
    """Route `call`, let the chosen model answer, fall back where that is safe, and say what came of it.

    Args:
        router: Who decides.
        call: What to route.
        artificial: Whether the answer's tool calls only carry structured output: nobody will ever answer them.

    Yields:
        Effects; send back their values.

    Returns:
        The end of it.

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
                outcome = replace(outcome, asks=()) if artificial else outcome
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
    *,
    artificial: bool = False,
) -> Passed[Response]:
    """Pump a passage.

    Args:
        router: Who decides.
        call: What to route.
        attempt: Asks the chosen model, with the probe among its callbacks, and returns what the framework gets.
        answer_in: Finds the answer in what `attempt` returned.
        artificial: As for `passage`.
    """
    steps = passage(router, call, artificial=artificial)
    effect = next(steps)
    try:
        while True:
            if isinstance(effect, Route):
                effect = steps.send(router.route(effect.call))
            elif isinstance(effect, Observe):
                effect = steps.send(router.observe(effect.decision, effect.outcome))
            else:
                probe = DeliveryProbe()
                result: Answered[Response] | Broken
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
    *,
    artificial: bool = False,
) -> Passed[Response]:
    """Do what `drive` does without blocking the event loop."""
    steps = passage(router, call, artificial=artificial)
    effect = next(steps)
    try:
        while True:
            if isinstance(effect, Route):
                effect = steps.send(await router.aroute(effect.call))
            elif isinstance(effect, Observe):
                effect = steps.send(await router.aobserve(effect.decision, effect.outcome))
            else:
                probe = DeliveryProbe()
                result: Answered[Response] | Broken
                try:
                    response = await attempt(effect.decision, probe)
                    result = Answered(response, answer_in(response))
                except BaseException as error:  # noqa: BLE001 -- the passage decides what goes up
                    result = Broken(error, probe.delivered)
                effect = steps.send(result)
    except StopIteration as stop:
        return cast("Passed[Response]", stop.value)


def stream(
    router: Router,
    call: Call,
    start: Callable[[Decision], Generator[Item]],
    relay_of: Callable[[Decision], Relay[Item]],
    *,
    artificial: bool = False,
) -> Generator[Item]:
    """Pump a passage whose attempts are streams.

    The end of an answer goes out when its outcome has been observed: who stops reading at the last item loses
    nothing.

    Args:
        router: Who decides.
        call: What to route.
        start: Begins the chosen model's stream.
        relay_of: Makes the relay of one attempt.
        artificial: As for `passage`.

    Yields:
        What the relays pass on.
    """
    steps = passage(router, call, artificial=artificial)
    effect = next(steps)
    while True:
        result: Any
        if isinstance(effect, Route):
            effect = steps.send(router.route(effect.call))
        elif isinstance(effect, Observe):
            effect = steps.send(router.observe(effect.decision, effect.outcome))
        else:
            relay = relay_of(effect.decision)
            with closing(start(effect.decision)) as items:
                try:
                    for item in items:
                        yield from relay.pass_on(item)
                        if relay.complete:
                            break
                    result = Answered(None, relay.answer())
                except Exception as error:  # noqa: BLE001 -- the passage decides what goes up
                    result = Broken(error, relay.delivered)
                else:
                    yield from relay.ending(_settled(router, steps, result))
                    # The model's run ends when its stream does.
                    yield from items
                    return
            effect = steps.send(result)


def _settled(router: Router, steps: Generator[Effect, Any, Passed[Any]], result: Answered[None]) -> Passed[None]:
    effect = steps.send(result)
    try:
        while isinstance(effect, Observe):
            effect = steps.send(router.observe(effect.decision, effect.outcome))
    except StopIteration as stop:
        return cast("Passed[None]", stop.value)
    raise InternalError(state="answered", event=type(effect).__name__)


async def astream(
    router: Router,
    call: Call,
    start: Callable[[Decision], AsyncGenerator[Item]],
    relay_of: Callable[[Decision], Relay[Item]],
    *,
    artificial: bool = False,
) -> AsyncGenerator[Item]:
    """Do what `stream` does without blocking the event loop."""
    steps = passage(router, call, artificial=artificial)
    effect = next(steps)
    while True:
        result: Any
        if isinstance(effect, Route):
            effect = steps.send(await router.aroute(effect.call))
        elif isinstance(effect, Observe):
            effect = steps.send(await router.aobserve(effect.decision, effect.outcome))
        else:
            relay = relay_of(effect.decision)
            async with aclosing(start(effect.decision)) as items:
                try:
                    async for item in items:
                        for ready in relay.pass_on(item):
                            yield ready
                        if relay.complete:
                            break
                    result = Answered(None, relay.answer())
                except Exception as error:  # noqa: BLE001 -- the passage decides what goes up
                    result = Broken(error, relay.delivered)
                else:
                    for ready in relay.ending(await _asettled(router, steps, result)):
                        yield ready
                    async for item in items:
                        yield item
                    return
            effect = steps.send(result)


async def _asettled(router: Router, steps: Generator[Effect, Any, Passed[Any]], result: Answered[None]) -> Passed[None]:
    effect = steps.send(result)
    try:
        while isinstance(effect, Observe):
            effect = steps.send(await router.aobserve(effect.decision, effect.outcome))
    except StopIteration as stop:
        return cast("Passed[None]", stop.value)
    raise InternalError(state="answered", event=type(effect).__name__)
