"""A caller is told of no failure, and is known by what it does next."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from session_router.testing.cached import NOW, a_question
from session_router_langchain.leads import Leads

if TYPE_CHECKING:
    from session_router.core.cached import CacheQuestion

ONE, TWO = a_question("One?"), a_question("Two?")


def leads() -> tuple[Leads, list[CacheQuestion]]:
    left: list[CacheQuestion] = []
    return Leads(left.append), left


def test_an_answer_takes_the_question_as_it_was_asked() -> None:
    one, left = leads()
    one.begun(ONE)
    assert one.taken(replace(ONE, now=NOW + 9)).now == NOW
    assert one.taken(replace(ONE, now=NOW + 9)).now == NOW + 9
    one.left()
    assert left == []


def test_whoever_asks_again_has_no_answer_to_come() -> None:
    one, left = leads()
    one.begun(ONE)
    one.left()
    one.begun(TWO)
    assert one.taken(ONE) == ONE
    assert left == [ONE, TWO]


def test_threads_are_told_apart() -> None:
    one, left = leads()
    one.begun(ONE)
    with ThreadPoolExecutor(1) as threads:
        threads.submit(one.begun, TWO).result()
        threads.submit(one.left).result()
    assert left == [TWO]
    one.left()
    assert left == [TWO, ONE]


async def test_a_task_that_ends_has_no_answer_to_come() -> None:
    one, left = leads()

    async def fails() -> None:
        one.begun(ONE)
        await asyncio.sleep(0)
        raise ValueError

    async def succeeds() -> None:
        one.begun(TWO)
        await asyncio.sleep(0)
        one.taken(TWO)

    await asyncio.gather(fails(), succeeds(), return_exceptions=True)
    await asyncio.sleep(0)
    assert left == [ONE]
    assert one._asked == {}


async def test_a_task_that_is_cancelled_has_none_either() -> None:
    one, left = leads()

    async def waits() -> None:
        one.begun(ONE)
        await asyncio.Event().wait()

    task = asyncio.create_task(waits())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.sleep(0)
    assert left == [ONE]
