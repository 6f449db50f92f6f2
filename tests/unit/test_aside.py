"""Work that is handed over from anywhere."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from functools import partial
from queue import SimpleQueue
from types import ModuleType

import pytest

from session_router.aside import Aside

PIECES, THREADS = 200, 8


def test_all_of_it_is_done_one_after_another() -> None:
    aside, done, at_once = Aside(), list[int](), list[int]()

    def work(number: int) -> None:
        at_once.append(number)
        assert len(at_once) == 1
        at_once.remove(number)
        done.append(number)

    def hand_over(start: int) -> None:
        for number in range(start, start + PIECES):
            aside.hand_over(partial(work, number))

    threads = [threading.Thread(target=hand_over, args=(number * PIECES,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    aside.wait()
    assert sorted(done) == list(range(THREADS * PIECES))


def test_without_a_thread_it_is_done_with_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("session_router.aside.LONGEST_WAIT_SECONDS", 0.01)
    aside, done = Aside(), list[str]()

    def refuse(*_: object) -> int:
        raise RuntimeError

    with monkeypatch.context() as without:
        without.setattr("_thread.start_new_thread", refuse)
        aside.hand_over(lambda: done.append("first"))
        assert done == []
    monkeypatch.setattr("session_router.aside.LONGEST_WAIT_SECONDS", 30.0)
    aside.hand_over(lambda: done.append("second"))
    assert done == ["first", "second"]


@pytest.mark.parametrize("there", [None, ModuleType("asyncio")], ids=["not imported", "being imported by another thread"])
def test_it_is_waited_for_where_no_loop_can_be(there: ModuleType | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if there is None:
        monkeypatch.delitem(sys.modules, "asyncio")
    else:
        monkeypatch.setitem(sys.modules, "asyncio", there)
    done = list[str]()
    Aside().hand_over(lambda: done.append("done"))
    assert done == ["done"]


async def test_a_loop_is_not_held_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("session_router.aside.LONGEST_WAIT_SECONDS", 30.0)
    aside, begins, done = Aside(), threading.Event(), list[str]()

    def work() -> None:
        begins.wait(30.0)
        done.append("done")

    aside.hand_over(work)
    assert done == []
    begins.set()
    aside.wait()
    assert done == ["done"]


def test_a_program_ends_behind_it() -> None:
    program = """
import asyncio, time
from session_router.aside import Aside

async def main():
    aside.hand_over(lambda: (time.sleep(0.1), print("done", flush=True)))

aside = Aside()
asyncio.run(main())
"""
    ended = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert ended.stdout == "done\n"


def test_a_child_begins_anew() -> None:
    aside, begun, goes_on = Aside(), threading.Event(), threading.Event()
    thread = threading.Thread(target=aside.hand_over, args=(lambda: (begun.set(), goes_on.wait(30.0)),))
    thread.start()
    assert begun.wait(30.0)
    child = os.fork()
    if child == 0:
        told = SimpleQueue[str]()
        aside.hand_over(lambda: told.put("done"))
        os._exit(0 if not told.empty() else 1)
    _, status = os.waitpid(child, 0)
    goes_on.set()
    thread.join()
    assert os.waitstatus_to_exitcode(status) == 0
