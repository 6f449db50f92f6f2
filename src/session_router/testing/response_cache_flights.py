"""The laws of those who ask at the same time: one asks a model, and nobody is disturbed or kept waiting by anybody else."""

# ruff: noqa: S101 -- a law is asserted

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from session_router.core.cached import CacheHit, CacheMiss
from session_router.testing.cached import WAYS, a_question, an_answer, content_of, look_up

if TYPE_CHECKING:
    from session_router.core.cached import CacheQuestion
    from session_router.ports import ResponseCache

THREADS: Final = 8
ROUNDS: Final = 25
READS: Final = 150

MODEL_SECONDS: Final = 0.001
"""That the model takes."""

SOON_SECONDS: Final = 0.2
"""After which whoever was told to ask has asked, most often."""


class AtTheSameTime:
    """A part of `ResponseCacheSuite`."""

    def test_threads_that_ask_the_same_ask_one_model(self, cache: ResponseCache) -> None:
        """One is told to ask; the others get its answer, when the model has taken its time."""
        for number in range(ROUNDS):
            asks = [0]
            start = threading.Barrier(THREADS)
            question = a_question(f"What is number {number}?")

            def ask(_: int, question: CacheQuestion = question, start: threading.Barrier = start, asks: list[int] = asks) -> Any:  # noqa: ANN401 -- the content of an answer
                start.wait()
                found = cache.look_up(question)
                if isinstance(found, CacheHit):
                    return found.answer.content
                asks[0] += 1
                # Without it a quick cache has the answer before another thread has its turn, and nobody sees who else would have asked.
                time.sleep(MODEL_SECONDS)
                assert cache.store(question, an_answer(question.text)) is None
                return question.text

            with ThreadPoolExecutor(THREADS) as threads:
                assert list(threads.map(ask, range(THREADS))) == [question.text] * THREADS
            assert asks[0] == 1, f"{asks[0]} of {THREADS} threads asked a model"

    def test_tasks_that_ask_the_same_ask_one_model(self, cache: ResponseCache) -> None:
        """The same on one event loop, where the model takes its time."""

        async def ask(question: CacheQuestion) -> int:
            found = await cache.alook_up(question)
            if isinstance(found, CacheHit):
                assert found.answer.content == question.text
                return 0
            await asyncio.sleep(0.01)
            assert await cache.astore(question, an_answer(question.text)) is None
            return 1

        async def main() -> None:
            for number in range(ROUNDS):
                question = a_question(f"What is number {number}?")
                assert sum(await asyncio.gather(*(ask(question) for _ in range(THREADS)))) == 1

        asyncio.run(main())

    def test_those_who_wait_go_on_when_no_answer_comes(self, cache: ResponseCache) -> None:
        """The model failed, or its answer is none to keep: nobody waits for the next one in the line."""
        for number in range(2):
            question = a_question(f"What is number {number}?")
            assert isinstance(cache.look_up(question), CacheMiss)
            with ThreadPoolExecutor(THREADS) as threads:
                waiting = [threads.submit(cache.look_up, question) for _ in range(THREADS)]
                # Who comes too late to wait for this one leads the others, who then wait in vain for as long as they may.
                time.sleep(SOON_SECONDS)
                if number:
                    assert cache.store(question, an_answer(tool_calls=True)) is not None
                else:
                    cache.abandon(question)
                found = [one.result() for one in waiting]
            assert all(isinstance(one, CacheMiss) for one in found)
            cache.abandon(question)
            assert isinstance(cache.look_up(question), CacheMiss)
            cache.abandon(question)

    def test_a_waiter_that_is_cancelled_harms_nobody(self, cache: ResponseCache) -> None:
        """The others get their answer."""

        async def main() -> None:
            question = a_question()
            assert isinstance(await cache.alook_up(question), CacheMiss)
            waiting = [asyncio.create_task(cache.alook_up(question)) for _ in range(4)]
            await asyncio.sleep(0.02)
            waiting[0].cancel()
            await asyncio.sleep(0)
            assert await cache.astore(question, an_answer("Here.")) is None
            found = await asyncio.gather(*waiting, return_exceptions=True)
            assert isinstance(found[0], asyncio.CancelledError)
            assert [one.answer.content for one in found[1:] if isinstance(one, CacheHit)] == ["Here."] * 3

        asyncio.run(main())

    def test_partitions_do_not_wait_for_each_other(self, cache: ResponseCache) -> None:
        """Not even a delay tells one tenant what another asks."""
        assert isinstance(cache.look_up(a_question()), CacheMiss)
        for way in WAYS:
            found = look_up(way, cache, a_question(tenant=f"globex-{way}"))
            assert isinstance(found, CacheMiss)
            assert found.waited is False

    def test_threads_do_not_disturb_each_other(self, cache: ResponseCache) -> None:
        """Readers and a writer: whatever is found is the answer to what was asked, by whom it was asked."""
        questions = [a_question(f"What is number {number}?", tenant=f"tenant-{number % 3}") for number in range(30)]
        start, done = threading.Barrier(THREADS + 1), threading.Event()

        def write() -> int:
            start.wait()
            try:
                return sum(cache.store(question, an_answer(f"{question.tenant}: {question.text}")) is None for question in questions * 3)
            finally:
                done.set()

        def read(seed: int) -> int:
            start.wait()
            hits, was_done, number = 0, False, 0
            # Whoever is quick would be gone before anything is written: all go on until everything is, and once more.
            while number < READS or not was_done:
                was_done, number = done.is_set(), number + 1
                question = questions[(number * 7 + seed) % len(questions)]
                found = cache.look_up(question)
                if isinstance(found, CacheHit):
                    hits += 1
                    assert found.answer.content == f"{question.tenant}: {question.text}"
                else:
                    cache.abandon(question)
            return hits

        with ThreadPoolExecutor(THREADS + 1) as threads:
            written = threads.submit(write)
            reading = [threads.submit(read, seed) for seed in range(THREADS)]
            assert written.result() == len(questions) * 3
            assert sum(one.result() for one in reading) > 0
        assert all(content_of(cache, question) == f"{question.tenant}: {question.text}" for question in questions)
