"""Work that can be handed over from anywhere, also from where the garbage collector calls: no lock is ever waited for."""

from __future__ import annotations

import _thread
import atexit
import os
import sys
import weakref
from queue import Empty, SimpleQueue
from threading import Event
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST_WAIT_SECONDS = 1.0
"""How long anybody waits for what was handed over."""


class Aside:
    """Does one piece of work after another, in a thread that is there while there is work.

    Whoever is called by the garbage collector may be in the middle of anything, and hold any lock: those of executors, of threads and of
    whatever the work needs. A queue that is made for that takes the work, and a thread that nobody has to register does it. What may be
    dropped, and is never handed over from there, is for `cache.background`, whose queue is bounded.
    """

    def __init__(self) -> None:
        self._begin_anew()
        _known.add(self)

    def _begin_anew(self) -> None:
        self._work: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._free = _thread.allocate_lock()
        self._process = os.getpid()

    def hand_over(self, work: Callable[[], None]) -> None:
        """Have `work` done, which raises nothing, and wait a moment for it where that holds up no event loop.

        Whoever hands it over may next close what it needs. Where it waits for something that its caller holds, the moment passes.
        """
        done = self._put(work)
        if not _is_on_a_loop():
            done.wait(LONGEST_WAIT_SECONDS)

    def wait(self) -> None:
        """Wait a moment for all that was handed over."""
        self._put(lambda: None).wait(LONGEST_WAIT_SECONDS)

    def _put(self, work: Callable[[], None]) -> Event:
        if self._process != os.getpid():
            # In a forked child the parent's thread is not there.
            self._begin_anew()
        done = Event()

        def do() -> None:
            work()
            done.set()

        self._work.put(do)
        self._start()
        return done

    def _start(self) -> None:
        if self._free.acquire(blocking=False):
            try:
                _thread.start_new_thread(self._run, ())
            except RuntimeError:
                # No thread is to be had now; whoever comes next tries again.
                self._free.release()

    def _run(self) -> None:
        while True:
            try:
                work = self._work.get_nowait()
            except Empty:
                break
            work()
        self._free.release()
        if not self._work.empty():
            self._start()


_known: weakref.WeakSet[Aside] = weakref.WeakSet()


@atexit.register
def _finish() -> None:
    """Let a program end behind what was handed over."""
    for one in [*_known]:
        one.wait()


def _is_on_a_loop() -> bool:
    # Whoever runs a loop has imported it. It takes a fifth of the time that all of ours does, which programs without a loop may save.
    # Another thread may be importing it right now: then it lacks what it will have.
    get_running_loop = getattr(sys.modules.get("asyncio"), "get_running_loop", None)
    if get_running_loop is None:
        return False
    try:
        get_running_loop()
    except RuntimeError:
        return False
    return True
