"""Pumping a passage whose attempts are streams."""

from __future__ import annotations

from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from session_router.errors import InternalError
from session_router_langchain.passage import passage
from session_router_langchain.passage_effects import Answered, Attempt, Broken, aperform, perform

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Iterator

    from langchain_core.messages import AIMessage

    from session_router.core.call import Call
    from session_router.core.decision import Decision
    from session_router.router import Router
    from session_router_langchain.narrowing import Narrowing
    from session_router_langchain.passage import Passed
    from session_router_langchain.passage_effects import Effect

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


def stream(
    router: Router,
    call: Call,
    start: Callable[[Decision], Generator[Item]],
    relay_of: Callable[[Decision], Relay[Item]],
    *,
    replay: Callable[[AIMessage, Decision], Generator[Item]] | None = None,
    intact: Callable[[], bool] | None = None,
    narrowing: Narrowing | None = None,
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
        replay: Makes a stream of a stored answer; needed where the call has terms for one.
        intact: Says whether what was asked is still what the call was made of; without it, nothing is kept.
        narrowing: As for `passage`.
        artificial: As for `passage`.

    Yields:
        What the relays pass on.
    """
    with closing(passage(router, call, narrowing=narrowing, artificial=artificial)) as steps:
        found = _advanced(router, steps, next(steps))
        while isinstance(found, Attempt):
            relay = relay_of(found.decision)
            with closing(start(found.decision)) as items:
                try:
                    for item in items:
                        yield from relay.pass_on(item)
                        if relay.complete:
                            break
                    result = _answered(relay.answer(), wanted=found.wanted, intact=intact)
                except Exception as error:  # noqa: BLE001 -- the passage decides what goes up
                    failure = Broken(error, relay.delivered)
                else:
                    yield from relay.ending(_ended(_advanced(router, steps, steps.send(result))))
                    # The model's run ends when its stream does.
                    yield from items
                    return
            found = _advanced(router, steps, steps.send(failure))
    yield from _replayed(found, replay, relay_of)


def _answered(answer: AIMessage | None, *, wanted: bool, intact: Callable[[], bool] | None) -> Answered[None]:
    return Answered(None, answer, answer if wanted and intact is not None and intact() else None)


def _advanced(router: Router, steps: Generator[Effect, Any, Passed[Any]], effect: Effect) -> Attempt | Passed[Any]:
    """Do what the passage asks, from `effect` on, until a model is to be asked or the passage is over."""
    try:
        while not isinstance(effect, Attempt):
            effect = steps.send(perform(router, effect))
    except StopIteration as stop:
        return cast("Passed[Any]", stop.value)
    return effect


def _replayed(
    passed: Passed[Any], replay: Callable[[AIMessage, Decision], Generator[Item]] | None, relay_of: Callable[[Decision], Relay[Item]]
) -> Generator[Item]:
    """Pass on the run that tells of a stored answer: a passage that ends without an attempt has nothing else."""
    if passed.message is None or replay is None:
        return
    relay = relay_of(passed.decision)
    with closing(replay(passed.message, passed.decision)) as items:
        for item in items:
            yield from relay.pass_on(item)
            if relay.complete:
                break
        yield from relay.ending(passed)
        yield from items


async def _areplayed(
    passed: Passed[Any], replay: Callable[[AIMessage, Decision], AsyncGenerator[Item]] | None, relay_of: Callable[[Decision], Relay[Item]]
) -> AsyncGenerator[Item]:
    if passed.message is None or replay is None:
        return
    relay = relay_of(passed.decision)
    async with aclosing(replay(passed.message, passed.decision)) as items:
        async for item in items:
            for ready in relay.pass_on(item):
                yield ready
            if relay.complete:
                break
        for ready in relay.ending(passed):
            yield ready
        async for item in items:
            yield item


async def _aadvanced(router: Router, steps: Generator[Effect, Any, Passed[Any]], effect: Effect) -> Attempt | Passed[Any]:
    try:
        while not isinstance(effect, Attempt):
            effect = steps.send(await aperform(router, effect))
    except StopIteration as stop:
        return cast("Passed[Any]", stop.value)
    return effect


def _ended(found: Attempt | Passed[Any]) -> Passed[Any]:
    if isinstance(found, Attempt):
        raise InternalError(state="answered", event=type(found).__name__)
    return found


async def astream(
    router: Router,
    call: Call,
    start: Callable[[Decision], AsyncGenerator[Item]],
    relay_of: Callable[[Decision], Relay[Item]],
    *,
    replay: Callable[[AIMessage, Decision], AsyncGenerator[Item]] | None = None,
    intact: Callable[[], bool] | None = None,
    narrowing: Narrowing | None = None,
    artificial: bool = False,
) -> AsyncGenerator[Item]:
    """Do what `stream` does without blocking the event loop."""
    with closing(passage(router, call, narrowing=narrowing, artificial=artificial)) as steps:
        found = await _aadvanced(router, steps, next(steps))
        while isinstance(found, Attempt):
            relay = relay_of(found.decision)
            async with aclosing(start(found.decision)) as items:
                try:
                    async for item in items:
                        for ready in relay.pass_on(item):
                            yield ready
                        if relay.complete:
                            break
                    result = _answered(relay.answer(), wanted=found.wanted, intact=intact)
                except Exception as error:  # noqa: BLE001 -- the passage decides what goes up
                    failure = Broken(error, relay.delivered)
                else:
                    for ready in relay.ending(_ended(await _aadvanced(router, steps, steps.send(result)))):
                        yield ready
                    async for item in items:
                        yield item
                    return
            found = await _aadvanced(router, steps, steps.send(failure))
    async with aclosing(_areplayed(found, replay, relay_of)) as stored:
        async for item in stored:
            yield item
