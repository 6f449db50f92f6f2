"""One request of the routing chat model, asked: whole, as chunks, as events; sync and async."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from session_router_langchain.passage import adrive, drive, itself, marked
from session_router_langchain.relay import EventRelay, MessageRelay
from session_router_langchain.stored_answers import as_chunks, as_events
from session_router_langchain.streamed_passage import astream, stream

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Mapping

    from langchain_core.messages import AIMessage, AIMessageChunk

    from session_router.core.decision import Decision
    from session_router.router import Router
    from session_router_langchain.request import Request
    from session_router_langchain.streamed_passage import Relay

Item = TypeVar("Item")


def answer(router: Router, request: Request) -> AIMessage:
    """Ask for a whole answer."""
    return marked(drive(router, request.call, request.invoke, itself, response_of=itself, own=request.own, narrowing=request.narrowing))


async def aanswer(router: Router, request: Request) -> AIMessage:
    """Ask for a whole answer without blocking the event loop."""
    return marked(
        await adrive(router, request.call, request.ainvoke, itself, response_of=itself, own=request.own, narrowing=request.narrowing)
    )


def chunks(router: Router, request: Request) -> Generator[AIMessageChunk]:
    """Ask for an answer in chunks."""
    return _streamed(router, request, request.stream, MessageRelay, as_chunks)


def achunks(router: Router, request: Request) -> AsyncGenerator[AIMessageChunk]:
    """Ask for an answer in chunks without blocking the event loop."""
    return _astreamed(router, request, request.astream, MessageRelay, as_chunks)


def events(router: Router, request: Request) -> Generator[Mapping[str, Any]]:
    """Ask for an answer as events of version v3."""
    return _streamed(router, request, request.events, EventRelay, as_events)


def aevents(router: Router, request: Request) -> AsyncGenerator[Mapping[str, Any]]:
    """Ask for an answer as events of version v3 without blocking the event loop."""
    return _astreamed(router, request, request.aevents, EventRelay, as_events)


def _streamed(
    router: Router,
    request: Request,
    start: Callable[[Decision], Generator[Item]],
    relay: Callable[[], Relay[Item]],
    replay: Callable[[AIMessage], Iterator[Item]],
) -> Generator[Item]:
    return stream(router, request.call, start, lambda _: relay(), replay=replay, intact=request.is_intact, narrowing=request.narrowing)


def _astreamed(
    router: Router,
    request: Request,
    start: Callable[[Decision], AsyncGenerator[Item]],
    relay: Callable[[], Relay[Item]],
    replay: Callable[[AIMessage], Iterator[Item]],
) -> AsyncGenerator[Item]:
    return astream(router, request.call, start, lambda _: relay(), replay=replay, intact=request.is_intact, narrowing=request.narrowing)
