"""One request of the routing chat model, asked: whole, as chunks, as events; sync and async."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from session_router_langchain.passage import adrive, drive, itself, marked
from session_router_langchain.relay import EventRelay, MessageRelay
from session_router_langchain.stored_answers import as_chunks, as_events
from session_router_langchain.streamed_passage import astream, stream

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Mapping

    from langchain_core.messages import AIMessage, AIMessageChunk

    from session_router.router import Router
    from session_router_langchain.request import Request


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
    return stream(
        router,
        request.call,
        request.stream,
        lambda _: MessageRelay(),
        replay=as_chunks,
        intact=request.is_intact,
        narrowing=request.narrowing,
    )


def achunks(router: Router, request: Request) -> AsyncGenerator[AIMessageChunk]:
    """Ask for an answer in chunks without blocking the event loop."""
    return astream(
        router,
        request.call,
        request.astream,
        lambda _: MessageRelay(),
        replay=as_chunks,
        intact=request.is_intact,
        narrowing=request.narrowing,
    )


def events(router: Router, request: Request) -> Generator[Mapping[str, Any]]:
    """Ask for an answer as events of version v3."""
    return stream(
        router,
        request.call,
        request.events,
        lambda _: EventRelay(),
        replay=as_events,
        intact=request.is_intact,
        narrowing=request.narrowing,
    )


def aevents(router: Router, request: Request) -> AsyncGenerator[Mapping[str, Any]]:
    """Ask for an answer as events of version v3 without blocking the event loop."""
    return astream(
        router,
        request.call,
        request.aevents,
        lambda _: EventRelay(),
        replay=as_events,
        intact=request.is_intact,
        narrowing=request.narrowing,
    )
