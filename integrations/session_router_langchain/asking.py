"""One request of the routing chat model, asked: whole, as chunks, as events; sync and async."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from session_router_langchain.passage import adrive, drive, itself, marked
from session_router_langchain.relay import EventRelay, MessageRelay
from session_router_langchain.replaying import as_told
from session_router_langchain.request import Request
from session_router_langchain.streamed_passage import astream, stream

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Mapping

    from langchain_core.messages import AIMessage, AIMessageChunk

    from session_router.core.decision import Decision
    from session_router.router import Router
    from session_router_langchain.streamed_passage import Relay

Item = TypeVar("Item")


def answer(router: Router, request: Request) -> AIMessage:
    """Ask for a whole answer."""

    def replay(message: AIMessage, decision: Decision) -> AIMessage:
        return as_told(message, request.replaying(message).invoke(decision))

    return marked(drive(router, request.call, request.invoke, itself, replay=replay, own=request.own, narrowing=request.narrowing))


async def aanswer(router: Router, request: Request) -> AIMessage:
    """Ask for a whole answer without blocking the event loop."""

    async def replay(message: AIMessage, decision: Decision) -> AIMessage:
        return as_told(message, await request.replaying(message).ainvoke(decision))

    return marked(await adrive(router, request.call, request.ainvoke, itself, replay=replay, own=request.own, narrowing=request.narrowing))


def chunks(router: Router, request: Request) -> Generator[AIMessageChunk]:
    """Ask for an answer in chunks."""
    return _streamed(router, request, Request.stream, MessageRelay)


def achunks(router: Router, request: Request) -> AsyncGenerator[AIMessageChunk]:
    """Ask for an answer in chunks without blocking the event loop."""
    return _astreamed(router, request, Request.astream, MessageRelay)


def events(router: Router, request: Request) -> Generator[Mapping[str, Any]]:
    """Ask for an answer as events of version v3."""
    return _streamed(router, request, Request.events, EventRelay)


def aevents(router: Router, request: Request) -> AsyncGenerator[Mapping[str, Any]]:
    """Ask for an answer as events of version v3 without blocking the event loop."""
    return _astreamed(router, request, Request.aevents, EventRelay)


def _streamed(
    router: Router, request: Request, start: Callable[[Request, Decision], Generator[Item]], relay: Callable[[], Relay[Item]]
) -> Generator[Item]:
    watched = request.watched()
    return stream(
        router,
        request.call,
        partial(start, watched),
        lambda _: relay(),
        replay=lambda message, decision: start(request.replaying(message), decision),
        intact=watched.is_intact,
        narrowing=request.narrowing,
    )


def _astreamed(
    router: Router, request: Request, start: Callable[[Request, Decision], AsyncGenerator[Item]], relay: Callable[[], Relay[Item]]
) -> AsyncGenerator[Item]:
    watched = request.watched()
    return astream(
        router,
        request.call,
        partial(start, watched),
        lambda _: relay(),
        replay=lambda message, decision: start(request.replaying(message), decision),
        intact=watched.is_intact,
        narrowing=request.narrowing,
    )
