"""Pumping a passage whose attempts are streams."""

from __future__ import annotations

from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from session_router.errors import InternalError
from session_router_langchain.passage import Answered, Attempt, Broken, aperform, passage, perform

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Iterator

    from langchain_core.messages import AIMessage

    from session_router.core.call import Call
    from session_router.core.decision import Decision
    from session_router.router import Router
    from session_router_langchain.passage import Effect, Passed

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
        while not isinstance(effect, Attempt):
            effect = steps.send(perform(router, effect))
        relay = relay_of(effect.decision)
        with closing(start(effect.decision)) as items:
            try:
                for item in items:
                    yield from relay.pass_on(item)
                    if relay.complete:
                        break
                result = Answered(None, relay.answer())
            except Exception as error:  # noqa: BLE001 -- the passage decides what goes up
                failure = Broken(error, relay.delivered)
            else:
                yield from relay.ending(_settled(router, steps, result))
                # The model's run ends when its stream does.
                yield from items
                return
        effect = steps.send(failure)


def _settled(router: Router, steps: Generator[Effect, Any, Passed[Any]], result: Answered[None]) -> Passed[None]:
    effect = steps.send(result)
    try:
        while not isinstance(effect, Attempt):
            effect = steps.send(perform(router, effect))
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
        while not isinstance(effect, Attempt):
            effect = steps.send(await aperform(router, effect))
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
                failure = Broken(error, relay.delivered)
            else:
                for ready in relay.ending(await _asettled(router, steps, result)):
                    yield ready
                async for item in items:
                    yield item
                return
        effect = steps.send(failure)


async def _asettled(router: Router, steps: Generator[Effect, Any, Passed[Any]], result: Answered[None]) -> Passed[None]:
    effect = steps.send(result)
    try:
        while not isinstance(effect, Attempt):
            effect = steps.send(await aperform(router, effect))
    except StopIteration as stop:
        return cast("Passed[None]", stop.value)
    raise InternalError(state="answered", event=type(effect).__name__)
