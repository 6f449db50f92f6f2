"""What a look-up waits for, and the two ways to wait: the logic is written once, as a generator, and pumped sync or async."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from session_router.cache.flights import Flight, Flights
    from session_router.ports import Embedder

Result = TypeVar("Result")


@dataclass(slots=True)
class Work:
    """Do something that may wait for a disk."""

    function: Callable[[], Any]


@dataclass(slots=True)
class Embed:
    """Embed one text; the answer is the rows, or the exception."""

    text: str


@dataclass(slots=True)
class WaitFor:
    """Wait for a flight."""

    flight: Flight


Step = Work | Embed | WaitFor


def drive(logic: Generator[Step, Any, Result], *, flights: Flights, embedder: Embedder | None) -> Result:
    """Run `logic` in this thread."""
    answer: object = None
    while True:
        try:
            step = logic.send(answer)
        except StopIteration as stop:
            result: Result = stop.value
            return result
        if isinstance(step, Work):
            answer = step.function()
        elif isinstance(step, Embed):
            answer = _embedded(embedder, step.text)
        else:
            flights.wait(step.flight)
            answer = None


async def adrive(logic: Generator[Step, Any, Result], *, flights: Flights, embedder: Embedder | None, threads: bool) -> Result:
    """Run `logic` on this event loop; with `threads`, what may wait for a disk is done in one of them."""
    answer: object = None
    try:
        while True:
            try:
                step = logic.send(answer)
            except StopIteration as stop:
                result: Result = stop.value
                return result
            if isinstance(step, Work):
                answer = await asyncio.to_thread(step.function) if threads else step.function()
            elif isinstance(step, Embed):
                answer = await _aembedded(embedder, step.text)
            else:
                await flights.await_(step.flight)
                answer = None
    finally:
        # A caller that is cancelled lets the logic put things back.
        logic.close()


def _embedded(embedder: Embedder | None, text: str) -> object:
    try:
        return None if embedder is None else embedder.embed([text])
    except Exception as error:  # noqa: BLE001 -- any failure of an embedder is a miss
        return error


async def _aembedded(embedder: Embedder | None, text: str) -> object:
    try:
        return None if embedder is None else await embedder.aembed([text])
    except Exception as error:  # noqa: BLE001 -- any failure of an embedder is a miss
        return error
