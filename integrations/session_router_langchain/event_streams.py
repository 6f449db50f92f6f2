"""Event streams whose model is chosen, and may still fall back; of version v3, when they are first read."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, cast

from langchain_core.language_models.chat_model_stream import AsyncChatModelStream, ChatModelStream

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Generator

    from langchain_core.runnables.schema import StreamEvent


class RoutedEventStream(ChatModelStream):
    """Pulls events as they are read.

    Args:
        source: The events.
    """

    def __init__(self, source: Generator[Any]) -> None:
        super().__init__()
        self._source = source
        self.bind_pump(self._pull)

    def _pull(self) -> bool:
        try:
            event = next(self._source)
        except StopIteration:
            return False
        except BaseException as error:  # noqa: BLE001 -- whoever reads the stream gets it
            self.fail(error)
            return False
        self.dispatch(event)
        return True


class AsyncRoutedEventStream(AsyncChatModelStream):
    """Collects events in a task of its own as soon as somebody reads.

    Args:
        source: The events.
    """

    def __init__(self, source: AsyncGenerator[Any]) -> None:
        super().__init__()
        self._source = source
        self._collecting: asyncio.Task[None] | None = None
        self.set_start(self._begin)

    async def _begin(self) -> None:
        if self._collecting is None and not self.done:
            self._collecting = asyncio.create_task(self._collect())

    async def _collect(self) -> None:
        try:
            async with aclosing(self._source) as events:
                async for event in events:
                    self.dispatch(event)
        except asyncio.CancelledError as error:
            self.fail(error)
            raise
        except BaseException as error:  # noqa: BLE001 -- whoever reads the stream gets it
            self.fail(error)

    async def aclose(self) -> None:
        """Stop asking; an answer that is already complete stays."""
        if self._collecting is None:
            await self._source.aclose()
        else:
            if not self.done:
                self._collecting.cancel()
            await asyncio.wait([self._collecting])
        if not self.done:
            self.fail(asyncio.CancelledError())


async def told_once(events: AsyncIterator[StreamEvent]) -> AsyncIterator[StreamEvent]:
    """Leave out what is told twice once another model has taken over: LangChain tells all that is streamed as if the first one said it."""
    begun: list[StreamEvent] = []
    async with aclosing(cast("AsyncGenerator[StreamEvent]", events)) as told:
        async for event in told:
            if event["event"] == "on_chat_model_start" and (not begun or event["parent_ids"] == begun[0]["parent_ids"]):
                begun.append(event)
            failed = {one["run_id"] for one in begun[:-1]}
            if event["event"] != "on_chat_model_stream" or event["run_id"] not in failed:
                yield event
