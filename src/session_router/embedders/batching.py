"""Requests that come at the same time, answered by one call of the model."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING

from session_router.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from session_router.ports import Embedder


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    texts: tuple[str, ...]
    answer: asyncio.Future[NDArray[np.float32]]


@dataclass(slots=True, kw_only=True)
class _Queue:
    """What waits on one event loop; touched by that loop's thread alone."""

    requests: list[_Request] = field(default_factory=list["_Request"])
    texts: int = 0
    timer: asyncio.TimerHandle | None = None
    # The loop itself keeps tasks by weak references only.
    calls: set[asyncio.Task[None]] = field(default_factory=set["asyncio.Task[None]"])


class BatchingEmbedder:
    """Gathers the concurrent async requests of an event loop into one call of an embedder. Passes `testing.EmbedderSuite`.

    A request waits for company until `maximum_wait_seconds` have passed or `maximum_texts` have come together. A request is
    never split: one that is larger goes alone. A text that several ask for is embedded once. A waiter that is cancelled takes
    nothing from the others; a call that fails fails for those whose texts were in it, and for nobody else.

    Calls of `embed` go straight through: a thread that waits has no other work that would fill a batch.

    Args:
        embedder: Any embedder; worth it where one call of many texts is cheaper than many calls.
        maximum_texts: Texts of a call that answers several requests.
        maximum_wait_seconds: For company; 0 gathers what is asked in the same turn of the loop.
    """

    def __init__(self, embedder: Embedder, *, maximum_texts: int = 64, maximum_wait_seconds: float = 0.002) -> None:
        if maximum_texts < 1:
            raise ConfigurationError(key="maximum_texts", value=maximum_texts, rule="give a number above 0.")
        if not 0 <= maximum_wait_seconds < float("inf"):
            raise ConfigurationError(key="maximum_wait_seconds", value=maximum_wait_seconds, rule="give seconds, 0 or more.")
        self._embedder = embedder
        self._maximum_texts = maximum_texts
        self._maximum_wait = maximum_wait_seconds
        self._queues: dict[asyncio.AbstractEventLoop, _Queue] = {}
        self._guard = Lock()

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self._embedder.dimension

    @property
    def fingerprint(self) -> str:
        """That of the embedder within: the vectors are its own."""
        return self._embedder.fingerprint

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return what the embedder within returns."""
        return self._embedder.embed(texts)

    async def aembed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return what the embedder within returns, perhaps after a wait for company."""
        if not texts:
            return await self._embedder.aembed(texts)
        loop = asyncio.get_running_loop()
        queue = self._queue_of(loop)
        request = _Request(texts=tuple(texts), answer=loop.create_future())
        if queue.texts + len(request.texts) > self._maximum_texts:
            self._send(loop, queue)
        queue.requests.append(request)
        queue.texts += len(request.texts)
        if queue.texts >= self._maximum_texts:
            self._send(loop, queue)
        elif queue.timer is None:
            queue.timer = loop.call_later(self._maximum_wait, self._send, loop, queue)
        return await request.answer

    def _queue_of(self, loop: asyncio.AbstractEventLoop) -> _Queue:
        # Loops of several threads may share this embedder.
        with self._guard:
            if loop not in self._queues:
                for ended in [one for one in self._queues if one.is_closed()]:
                    del self._queues[ended]
                self._queues[loop] = _Queue()
            return self._queues[loop]

    def _send(self, loop: asyncio.AbstractEventLoop, queue: _Queue) -> None:
        requests = [request for request in queue.requests if not request.answer.done()]
        queue.requests, queue.texts = [], 0
        if queue.timer is not None:
            queue.timer.cancel()
            queue.timer = None
        if requests:
            call = loop.create_task(self._answer(requests))
            queue.calls.add(call)
            call.add_done_callback(queue.calls.discard)

    async def _answer(self, requests: Sequence[_Request]) -> None:
        asked = list(dict.fromkeys(text for request in requests for text in request.texts))
        places = {text: place for place, text in enumerate(asked)}
        try:
            rows = await self._embedder.aembed(asked)
            answers = [rows[[places[text] for text in request.texts]] for request in requests]
        except Exception as error:  # noqa: BLE001 -- whatever it is, it belongs to those who asked
            for request in requests:
                if not request.answer.done():
                    request.answer.set_exception(error)
        except BaseException:
            # The loop is ending: nobody may be left waiting.
            for request in requests:
                request.answer.cancel()
            raise
        else:
            for request, answer in zip(requests, answers, strict=True):
                if not request.answer.done():
                    request.answer.set_result(answer)
