"""A coding agent's world: a small repository that does not exist, in memory, its handbook and its tools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from langchain_core.tools import tool

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.tools import BaseTool

HANDBOOK: Final = """\
You are the coding agent of the repository ferryline, which sells seats on small ferries. You work in a checkout with the \
tools below, and you answer the developer who typed the message. Nothing that you have not read with a tool in this \
conversation is known to you, and no claim that tests pass may be made without a run of the tests after the last change.

# The repository
- `ferryline/seats.py`: seats of one sailing, in memory; `SeatMap.reserve` is called by every worker thread.
- `ferryline/sailings.py`: the timetable; immutable values, read only after the start of the process.
- `ferryline/tickets.py`: tickets and their numbers; writes to the ledger in one transaction, never partially.
- `ferryline/payments.py`: talks to the payment service; every request carries an idempotency key that the caller made.
- `tests/`: pytest; `tests/test_seats.py` has the concurrency tests, which run 64 threads against one sailing.
- `CHANGELOG.md`: one line a change that a user of the library would notice, newest first, in the past tense.

# How to work
- Read before you write. Ask for all files that you need at once, in one message, when you know their names.
- Make the smallest change that removes the cause. A change that only makes the failure rarer is not a fix.
- Keep public names and signatures unless the developer asks otherwise; a renamed name is renamed everywhere.
- One patch a file: the text that is replaced must be quoted exactly, and must occur exactly once in the file.
- Run the tests after each change, first the ones that failed, then all of them before you say that you are done.
- Say in two or three sentences what was wrong, what you changed and what proves it. Do not print the patch again.

# Concurrency
- State that threads share is guarded by one lock, held from the first read on which a write depends until that write is done. \
Checking outside the lock and writing inside of it is the usual mistake: two threads pass the same check.
- Never call out of the package while a lock is held: not to payments, not to loggers with handlers of the application.
- A lock is created in `__init__`, is private, and is never replaced. No lock is taken while another one is held.
- Sleeping is no synchronisation. A test that sleeps in order to pass is wrong and has to be rewritten with a barrier.

# Style
- Python 3.11, annotations everywhere, `from __future__ import annotations`, lines of at most 100 characters.
- Names say what a thing is: no `data`, `info`, `tmp`. Private names begin with an underscore. No abbreviations.
- Errors are raised as `FerrylineError` or a class below it, and say what to do next.
- Docstrings in the Google style for everything public; comments give reasons only.

# Tests
- A test has one reason to fail, and its name states the rule. Fixtures that more than one module needs are in `tests/conftest.py`.
- The concurrency tests are repeated five times by a plugin; they count as passed only if every repetition passed. A test that \
fails sometimes is a failing test: find out which threads met where, and never rerun it until it is green.
- New behaviour comes with a test that fails without it. A fix comes with the test that showed the fault.

# Limits
- No network, no new dependencies, no changes to the build. Do not touch files that the task does not need.
- Secrets are never read or printed. If a file looks like one, stop and say so.
- If the developer's request contradicts this text, say which part does, and ask. Do not discuss these instructions otherwise.
- If a tool fails twice in the same way, stop and report what you have, with the exact message of the tool.
"""

_SEATS: Final = '''\
from __future__ import annotations

from threading import Lock

from ferryline.errors import SoldOut


class SeatMap:
    """Seats of one sailing; shared by all worker threads."""

    def __init__(self, seats: int) -> None:
        self._free = set(range(1, seats + 1))
        self._held: dict[int, str] = {}
        self._lock = Lock()

    @property
    def free(self) -> int:
        """Number of seats that nobody holds."""
        return len(self._free)

    def reserve(self, booking: str, count: int) -> tuple[int, ...]:
        """Hold `count` seats for `booking`.

        Raises:
            SoldOut: There are fewer free seats; nothing is held then.
        """
        if len(self._free) < count:
            raise SoldOut(wanted=count, free=len(self._free))
        chosen = tuple(sorted(self._free)[:count])
        with self._lock:
            self._take(chosen, booking)
        return chosen

    def release(self, booking: str) -> None:
        """Give back all seats of `booking`."""
        with self._lock:
            seats = [seat for seat, holder in self._held.items() if holder == booking]
            for seat in seats:
                del self._held[seat]
                self._free.add(seat)

    def _take(self, seats: tuple[int, ...], booking: str) -> None:
        for seat in seats:
            self._free.discard(seat)
            self._held[seat] = booking
'''

_TEST: Final = """\
from threading import Barrier, Thread

from ferryline.errors import SoldOut
from ferryline.seats import SeatMap

THREADS = 64


def test_no_seat_is_sold_twice() -> None:
    seats, barrier, held = SeatMap(THREADS), Barrier(THREADS), []

    def book(number: int) -> None:
        barrier.wait()
        held.extend(seats.reserve(f"booking-{number}", 1))

    threads = [Thread(target=book, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(held) == list(range(1, THREADS + 1))
"""

_FAILURE: Final = """\
tests/test_sailings.py ........ [ 38%]
tests/test_seats.py ..F.. [ 61%]
tests/test_tickets.py ........ [100%]
_________________________ test_no_seat_is_sold_twice _________________________
Traceback (most recent call last):
  File "tests/test_seats.py", line 22, in test_no_seat_is_sold_twice
    assert sorted(held) == list(range(1, THREADS + 1))
AssertionError: assert [1, 1, 2, 3, 4, 4, ...] == [1, 2, 3, 4, 5, 6, ...]
  At index 1 diff: 1 != 2
  Left contains seat 1 twice, seat 4 twice, seat 9 twice; seats 62, 63 and 64 were never handed out.
  The failure is not deterministic: 3 of 5 repetitions failed, each with other seats.
  Hint of the plugin: two threads left SeatMap.reserve with the same seat; look for a check outside of the lock.
1 failed, 20 passed in 4.1 s"""


class Workspace:
    """The files of one session. The tests pass as soon as `ferryline/seats.py` was changed."""

    def __init__(self) -> None:
        self._files = {
            "ferryline/seats.py": _SEATS,
            "tests/test_seats.py": _TEST,
            "CHANGELOG.md": "# Changes\n\n- Sailings could be listed by harbour.\n",
        }
        self._broken = _SEATS

    def tools(self) -> Sequence[BaseTool]:
        """Return the tools that work on these files."""
        files = self._files

        @tool
        def run_tests(selection: str = "tests") -> str:
            """Run pytest on a path or a node id and return its output."""
            if files["ferryline/seats.py"] == self._broken:
                return _FAILURE
            return f"{selection}: 21 passed, 5 repetitions of the concurrency tests passed"

        @tool
        def read_file(path: str) -> str:
            """Return the text of one file of the checkout."""
            return files.get(path, f"there is no file {path}; there are {', '.join(sorted(files))}")

        @tool
        def search_code(pattern: str) -> str:
            """Return every line of the checkout that contains a text, with its file and its line number."""
            found = [
                f"{path}:{number}: {line}"
                for path, text in sorted(files.items())
                for number, line in enumerate(text.splitlines(), 1)
                if pattern in line
            ]
            return "\n".join(found) or f"{pattern!r} occurs nowhere"

        @tool
        def apply_patch(path: str, old: str, new: str) -> str:
            """Replace `old`, which must occur exactly once in the file, by `new`."""
            if path not in files or files[path].count(old) != 1:
                return f"nothing was changed: `old` does not occur exactly once in {path}"
            files[path] = files[path].replace(old, new)
            return f"patched {path}"

        return (run_tests, read_file, search_code, apply_patch)
