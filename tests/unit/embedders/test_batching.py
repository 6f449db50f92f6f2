"""Requests that share a call: each gets its own rows, and nobody else's trouble."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from session_router.embedders.batching import BatchingEmbedder
from session_router.embedders.caching import CachingEmbedder
from session_router.embedders.worker_thread import WorkerThread
from session_router.errors import ConfigurationError, EmbedderUnavailable
from support.counting_embedder import CountingEmbedder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

TEXT = st.sampled_from(["", "a", "b", "c", "\ud800"])
LONG = 3600.0
"""Seconds that no test waits: what ends such a wait is not the timer."""


class Gated(CountingEmbedder):
    """Works when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.called, self.gate = asyncio.Event(), asyncio.Event()

    async def aembed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.calls.append(list(texts))
        self.called.set()
        await self.gate.wait()
        return CountingEmbedder().embed(texts)


async def turns(number: int = 5) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


@contextmanager
def standing_still(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No timer of the running loop becomes due meanwhile, however long the machine keeps this process waiting."""
    loop = asyncio.get_running_loop()
    now = loop.time()
    with monkeypatch.context() as patched:
        patched.setattr(loop, "time", lambda: now)
        yield


# Vectors.


@settings(max_examples=80, deadline=None)
@given(
    requests=st.lists(st.tuples(st.lists(TEXT, max_size=5), st.integers(0, 3)), max_size=8),
    maximum=st.integers(1, 6),
    cached=st.booleans(),
)
def test_rows_are_those_of_the_bare_embedder(requests: list[tuple[list[str], int]], maximum: int, *, cached: bool) -> None:
    inner = CountingEmbedder()
    embedder: Any = BatchingEmbedder(inner, maximum_texts=maximum, maximum_wait_seconds=0)
    if cached:
        embedder = CachingEmbedder(embedder, maximum_entries=2)

    async def request(texts: list[str], delay: int) -> NDArray[np.float32]:
        await turns(delay)
        return await embedder.aembed(texts)

    async def main() -> list[NDArray[np.float32]]:
        return await asyncio.gather(*(request(*one) for one in requests))

    for (texts, _), rows in zip(requests, asyncio.run(main()), strict=True):
        np.testing.assert_array_equal(rows, CountingEmbedder().embed(texts))
        assert rows.dtype == np.float32
    assert all(len(call) <= max(maximum, *(len(texts) for texts, _ in requests)) for call in inner.calls)


async def test_requests_of_one_moment_are_one_call() -> None:
    inner = CountingEmbedder()
    embedder = BatchingEmbedder(inner)
    await asyncio.gather(*(embedder.aembed([text, "shared"]) for text in "abcd"))
    assert inner.calls == [["a", "shared", "b", "c", "d"]]
    # Without the wrapper there are as many as requests.
    bare = CountingEmbedder()
    await asyncio.gather(*(bare.aembed([text, "shared"]) for text in "abcd"))
    assert len(bare.calls) == 4


async def test_a_full_batch_does_not_wait() -> None:
    inner = CountingEmbedder()
    embedder = BatchingEmbedder(inner, maximum_texts=4, maximum_wait_seconds=LONG)
    await asyncio.gather(*(embedder.aembed([text]) for text in "abcdefgh"))
    assert inner.calls == [["a", "b", "c", "d"], ["e", "f", "g", "h"]]


async def test_a_request_that_does_not_fit_sends_those_before_it_and_is_not_split() -> None:
    inner = CountingEmbedder()
    embedder = BatchingEmbedder(inner, maximum_texts=3, maximum_wait_seconds=LONG)
    await asyncio.gather(embedder.aembed(["a", "b"]), embedder.aembed(["c", "d"]), embedder.aembed(list("efghi")))
    assert inner.calls == [["a", "b"], ["c", "d"], list("efghi")]


async def test_the_wait_for_company_ends() -> None:
    inner = CountingEmbedder()
    embedder = BatchingEmbedder(inner, maximum_texts=100, maximum_wait_seconds=0.01)
    for text in "ab":
        await embedder.aembed([text])
    assert inner.calls == [["a"], ["b"]]


async def test_a_later_request_does_not_prolong_the_wait() -> None:
    inner, loop = Gated(), asyncio.get_running_loop()
    embedder = BatchingEmbedder(inner, maximum_texts=100, maximum_wait_seconds=LONG)
    tasks = [asyncio.create_task(embedder.aembed(["a"]))]
    await turns()
    (queue,) = embedder._queues.values()
    timer = queue.timer
    assert timer is not None
    assert timer.when() - loop.time() <= LONG
    tasks.append(asyncio.create_task(embedder.aembed(["b"])))
    await turns()
    assert queue.timer is timer
    for task in tasks:
        task.cancel()
    timer.cancel()


# Trouble.


async def test_cancelling_one_waiter_takes_nothing_from_the_others() -> None:
    inner = Gated()
    embedder = BatchingEmbedder(inner)
    first, second, third = (asyncio.create_task(embedder.aembed([text])) for text in "abc")
    await inner.called.wait()
    second.cancel()
    await turns()
    assert second.cancelled()
    inner.gate.set()
    np.testing.assert_array_equal(await first, CountingEmbedder().embed(["a"]))
    np.testing.assert_array_equal(await third, CountingEmbedder().embed(["c"]))
    assert inner.calls == [["a", "b", "c"]]


async def test_what_was_cancelled_before_the_call_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    inner = CountingEmbedder()
    embedder = BatchingEmbedder(inner, maximum_wait_seconds=0.01)
    tasks = [asyncio.create_task(embedder.aembed([text])) for text in "abc"]
    with standing_still(monkeypatch):
        await turns()
    tasks[0].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert inner.calls == [["b", "c"]]


async def test_a_batch_of_none_is_no_call(monkeypatch: pytest.MonkeyPatch) -> None:
    inner = CountingEmbedder()
    embedder = BatchingEmbedder(inner, maximum_wait_seconds=0.001)
    task = asyncio.create_task(embedder.aembed(["a"]))
    with standing_still(monkeypatch):
        await turns()
    task.cancel()
    await asyncio.sleep(0.01)
    assert not inner.calls
    assert (await embedder.aembed(["b"])).shape == (1, 8)
    assert inner.calls == [["b"]]


async def test_a_failure_is_for_those_whose_texts_were_in_the_call() -> None:
    class FailsOnB(CountingEmbedder):
        async def aembed(self, texts: Sequence[str]) -> NDArray[np.float32]:
            rows = self.embed(texts)
            await asyncio.sleep(0)
            if "b" in texts:
                raise EmbedderUnavailable(model="m", error=RuntimeError())
            return rows

    inner = FailsOnB()
    embedder = BatchingEmbedder(inner, maximum_texts=2, maximum_wait_seconds=LONG)
    answers = await asyncio.gather(*(embedder.aembed([text]) for text in "abcd"), return_exceptions=True)
    assert inner.calls == [["a", "b"], ["c", "d"]]
    assert [isinstance(answer, EmbedderUnavailable) for answer in answers] == [True, True, False, False]


async def test_a_failure_that_nobody_waits_for_is_dropped() -> None:
    class Fails(Gated):
        async def aembed(self, texts: Sequence[str]) -> NDArray[np.float32]:
            await super().aembed(texts)
            raise EmbedderUnavailable(model="m", error=RuntimeError())

    inner, loose = Fails(), []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: loose.append(context))
    embedder = BatchingEmbedder(inner, maximum_texts=1)
    task = asyncio.create_task(embedder.aembed(["a"]))
    await turns()
    task.cancel()
    inner.gate.set()
    await turns()
    (queue,) = embedder._queues.values()
    assert not queue.calls
    assert not loose


def test_a_loop_that_ends_leaves_nobody_waiting() -> None:
    inner_calls = []

    async def main() -> list[asyncio.Task[Any]]:
        inner = Gated()
        embedder = BatchingEmbedder(inner, maximum_texts=2)
        tasks = [asyncio.create_task(embedder.aembed([text])) for text in "ab"]
        await turns()
        inner_calls.extend(inner.calls)
        (queue,) = embedder._queues.values()
        for call in queue.calls:
            call.cancel()
        await asyncio.wait(tasks)
        return tasks

    assert all(task.cancelled() for task in asyncio.run(main()))
    assert inner_calls == [["a", "b"]]


# Loops and threads.


def test_sync_calls_go_straight_through() -> None:
    inner = CountingEmbedder()
    embedder = BatchingEmbedder(inner, maximum_wait_seconds=LONG)
    with ThreadPoolExecutor(8) as threads:
        rows = list(threads.map(embedder.embed, [[str(number)] for number in range(32)]))
    np.testing.assert_array_equal(np.concatenate(rows), inner.embed([str(number) for number in range(32)]))
    assert embedder.dimension == inner.dimension


def test_loops_of_several_threads_share_an_embedder_and_no_call() -> None:
    inner = CountingEmbedder()
    embedder = BatchingEmbedder(inner, maximum_wait_seconds=0.001)
    start = threading.Barrier(4)

    def work(number: int) -> NDArray[np.float32]:
        async def main() -> NDArray[np.float32]:
            start.wait()
            return np.concatenate(await asyncio.gather(*(embedder.aembed([f"{number} {text}"]) for text in "abc")))

        return asyncio.run(main())

    with ThreadPoolExecutor(4) as threads:
        for number, rows in enumerate(threads.map(work, range(4))):
            np.testing.assert_array_equal(rows, inner.embed([f"{number} {text}" for text in "abc"]))
    assert {frozenset(text[0] for text in call) for call in inner.calls} == {frozenset(str(number)) for number in range(4)}


def test_loops_that_ended_are_forgotten() -> None:
    embedder = BatchingEmbedder(CountingEmbedder(), maximum_wait_seconds=0)
    for _ in range(5):
        asyncio.run(embedder.aembed(["a"]))
    assert len(embedder._queues) == 1


@pytest.mark.parametrize(("key", "value"), [("maximum_texts", 0), ("maximum_wait_seconds", -1.0), ("maximum_wait_seconds", float("nan"))])
def test_settings_are_checked(key: str, value: float) -> None:
    with pytest.raises(ConfigurationError, match=f"`{key}` is"):
        BatchingEmbedder(CountingEmbedder(), **{key: value})


# The thread in which models work.


async def test_a_worker_does_one_thing_at_a_time_in_one_thread() -> None:
    worker, running, most, names = WorkerThread(), [], [], set()

    def work() -> None:
        running.append(1)
        most.append(len(running))
        names.add(threading.current_thread().name)
        running.pop()

    await asyncio.gather(*(worker.run(work) for _ in range(50)))
    assert max(most) == 1
    assert len(names) == 1
    assert threading.current_thread().name not in names


async def test_a_forked_process_has_a_worker_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = WorkerThread()
    before = await worker.run(threading.get_ident)
    assert await worker.run(threading.get_ident) == before
    monkeypatch.setattr("session_router.embedders.worker_thread.os.getpid", lambda: -1)
    assert await worker.run(threading.get_ident) != before
