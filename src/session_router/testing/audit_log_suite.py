"""The laws of an audit log, as tests that any implementation can run: nothing goes missing unseen."""

# ruff: noqa: S101 -- a law is asserted

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from session_router.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from session_router.ports import AuditLog

RECORDS: Final = 12
THREADS: Final = 8
EACH: Final = 25

_SEARCH = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    report_multiple_bugs=False,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors, HealthCheck.too_slow],
)

_SCALARS = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text()
_VALUES = st.recursive(_SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=8)


def plain_records() -> st.SearchStrategy[dict[str, Any]]:
    """Return records of plain values, some about somebody."""
    return st.fixed_dictionaries(
        {"decision": st.text(), "at": st.floats(0, 4e9)},
        optional={"session": st.text(), "subjects": st.lists(st.text(), max_size=3), "evidence": _VALUES},
    )


class AuditLogSuite:
    """Subclass it in a test module, and say which log is meant.

    A fixture `log` gives an empty one of its own to every test. The other methods say what no port can ask for: how to read it, and
    how somebody would tamper with it who can write to its storage and does not have the key.

    ```python
    class TestMyLog(AuditLogSuite):
        @pytest.fixture
        def log(self):
            with MyLog(URL, key=KEY) as log:
                yield log

        def reopen(self, log):
            return MyLog(URL, key=KEY)

        def records(self, log):
            return log.read_all()

        def problems(self, log):
            return log.verify()

        def stored(self, log):
            return log.storage.rows()

        def put_back(self, log, rows):
            log.storage.replace_rows(rows)
    ```
    """

    def reopen(self, log: AuditLog) -> AuditLog:
        """Return another handle to the storage of `log`; it is closed after use if it has a `close`."""
        raise NotImplementedError

    def records(self, log: AuditLog) -> Sequence[Mapping[str, Any]]:
        """Return the records, oldest first."""
        raise NotImplementedError

    def problems(self, log: AuditLog) -> Sequence[object]:
        """Return what is found to be wrong; empty for nothing."""
        raise NotImplementedError

    def stored(self, log: AuditLog) -> list[bytes]:
        """Return what is stored of each record, oldest first."""
        raise NotImplementedError

    def put_back(self, log: AuditLog, rows: Sequence[bytes]) -> None:
        """Store `rows` in place of what is stored. What lies apart from the records, such as a signed head, stays."""
        raise NotImplementedError

    # What is appended is there.

    def test_records_come_back_in_order(self, log: AuditLog) -> None:
        """Without this all that follows would mean nothing."""
        filled(log)
        assert [dict(record) for record in self.records(log)] == [a_record(number) for number in range(RECORDS)]
        assert not self.problems(log)

    def test_any_plain_record_survives(self, log: AuditLog) -> None:
        """Whatever text, numbers and tables it is made of."""

        @_SEARCH
        @given(plain_records())
        def survives(record: dict[str, Any]) -> None:
            log.append(record)
            assert self.records(log)[-1] == record
            assert not self.problems(log)

        survives()

    def test_what_is_not_plain_is_refused(self, log: AuditLog) -> None:
        """A record that could not be read back is an error, and leaves the log as it was."""
        log.append(a_record(0))
        for value in (float("nan"), float("inf"), b"bytes", {1: "a name that is no text"}, object(), 2**70):
            try:
                log.append({"value": value})
            except AuditError:
                continue
            msg = f"{value!r} was taken"
            raise AssertionError(msg)
        assert [dict(record) for record in self.records(log)] == [a_record(0)]
        assert not self.problems(log)

    def test_threads_append_together(self, log: AuditLog) -> None:
        """No record is lost, and no two get into one another."""
        together([log] * THREADS)
        assert sorted(record["at"] for record in self.records(log)) == list(range(THREADS * EACH))
        assert not self.problems(log)

    def test_handles_append_together(self, log: AuditLog) -> None:
        """The same over several handles to one storage."""
        others = [self.reopen(log) for _ in range(THREADS - 1)]
        together([log, *others])
        assert sorted(record["at"] for record in self.records(log)) == list(range(THREADS * EACH))
        assert not self.problems(log)
        for other in others:
            close_log(other)

    def test_log_goes_on_after_it_was_opened_again(self, log: AuditLog) -> None:
        """The chain does not begin anew."""
        for number in range(RECORDS):
            other = self.reopen(log)
            other.append(a_record(number))
            close_log(other)
        assert [record["at"] for record in self.records(log)] == list(range(RECORDS))
        assert not self.problems(log)

    # Nothing goes missing unseen.

    def test_any_flipped_bit_is_found(self, log: AuditLog) -> None:
        """Wherever it is."""
        rows = filled(log, stored=self.stored)

        @_SEARCH
        @given(st.data(), st.integers(0, len(rows) - 1), st.integers(0, 7))
        def found(data: st.DataObject, number: int, bit: int) -> None:
            row = bytearray(rows[number])
            place = data.draw(st.integers(0, len(row) - 1))
            row[place] ^= 1 << bit
            self._tampered(log, rows, [*rows[:number], bytes(row), *rows[number + 1 :]], f"bit {bit} of byte {place} of row {number}")

        found()

    def test_any_deleted_record_is_found(self, log: AuditLog) -> None:
        """The first and the last included."""
        rows = filled(log, stored=self.stored)
        for number in range(len(rows)):
            self._tampered(log, rows, [*rows[:number], *rows[number + 1 :]], f"row {number} deleted")

    def test_any_swapped_records_are_found(self, log: AuditLog) -> None:
        """Neighbours or not."""
        rows = filled(log, stored=self.stored)
        for one in range(len(rows)):
            for other in range(one + 1, len(rows)):
                swapped = list(rows)
                swapped[one], swapped[other] = rows[other], rows[one]
                self._tampered(log, rows, swapped, f"rows {one} and {other} swapped")

    def test_any_repeated_record_is_found(self, log: AuditLog) -> None:
        """At the place of its own, and at the end."""
        rows = filled(log, stored=self.stored)
        for number, row in enumerate(rows):
            self._tampered(log, rows, [*rows[:number], row, *rows[number:]], f"row {number} repeated")
            self._tampered(log, rows, [*rows, row], f"row {number} repeated at the end")

    def test_any_cut_is_found(self, log: AuditLog) -> None:
        """However many of the last records are gone, all included."""
        rows = filled(log, stored=self.stored)
        for kept in range(len(rows)):
            self._tampered(log, rows, rows[:kept], f"cut to {kept} rows")

    def test_what_was_cut_stays_missing_when_the_log_goes_on(self, log: AuditLog) -> None:
        """A writer that comes later must not heal what it finds."""
        rows = filled(log, stored=self.stored)
        self.put_back(log, rows[:-3])
        other = self.reopen(log)
        for number in range(5):
            other.append(a_record(RECORDS + number))
        assert self.problems(other), "three records were cut, five appended, and nothing was found"
        close_log(other)

    def test_record_of_another_log_is_found(self, log: AuditLog) -> None:
        """What is well written is not yet of this log: a row from before, of the same number."""
        older = filled(log, stored=self.stored)
        self.put_back(log, older[:-1])
        log.append({"at": -1, "decision": "another story"})
        rows = self.stored(log)
        for number in range(len(older) - 1, len(rows)):
            self._tampered(log, rows, [*rows[:number], older[-1], *rows[number + 1 :]], f"an older row as row {number}", clean=False)

    def _tampered(self, log: AuditLog, rows: Sequence[bytes], changed: Sequence[bytes], what: str, *, clean: bool = True) -> None:
        self.put_back(log, changed)
        found = self.problems(log)
        self.put_back(log, rows)
        assert found, f"{what}: nothing was found"
        if clean:
            assert not self.problems(log), "what was put back as it was is not found as it was"


class ErasableAuditLogSuite(AuditLogSuite):
    """The same, for a log from which whom it is about can be erased: say how as well."""

    def erase(self, log: AuditLog, subject: str) -> int:
        """Erase what leads back to `subject`, and return from how many records."""
        raise NotImplementedError

    def test_nothing_leads_back_to_who_was_erased(self, log: AuditLog) -> None:
        """Neither in records nor in what is stored; and all the rest verifies."""
        filled(log)
        assert self.erase(log, "subject-1") == RECORDS // 3
        assert not self.problems(log)
        assert not any("subject-1" in record.get("subjects", ()) for record in self.records(log))
        assert not any(b"subject-1" in row for row in self.stored(log))
        assert sum("subject-2" in record.get("subjects", ()) for record in self.records(log)) == RECORDS // 3
        # Who else is named beside is not told apart from the others of that record.
        assert [record["at"] for record in self.records(log)] == list(range(RECORDS))
        assert [record["decision"] for record in self.records(log)] == [a_record(number)["decision"] for number in range(RECORDS)]

    def test_log_goes_on_after_an_erasure(self, log: AuditLog) -> None:
        """Through every handle."""
        other = self.reopen(log)
        filled(log)
        self.erase(other, "subject-1")
        log.append(a_record(RECORDS))
        other.append(a_record(RECORDS + 1))
        assert [record["at"] for record in self.records(log)] == list(range(RECORDS + 2))
        assert not self.problems(log)
        close_log(other)

    def test_who_is_not_there_is_erased_from_nothing(self, log: AuditLog) -> None:
        """Not even by a name that is part of another."""
        filled(log)
        assert self.erase(log, "subject") == 0
        assert [dict(record) for record in self.records(log)] == [a_record(number) for number in range(RECORDS)]

    def test_tampering_is_found_after_an_erasure(self, log: AuditLog) -> None:
        """Erased records are as safe as the others."""
        filled(log)
        self.erase(log, "subject-1")
        rows = self.stored(log)
        for number in range(len(rows)):
            self._tampered(log, rows, [*rows[:number], *rows[number + 1 :]], f"row {number} deleted")
            middle = len(rows[number]) // 2
            row = bytearray(rows[number])
            row[middle] ^= 1
            self._tampered(log, rows, [*rows[:number], bytes(row), *rows[number + 1 :]], f"row {number} altered")


def a_record(number: int) -> dict[str, Any]:
    """Return a record about one of three subjects."""
    return {
        "decision": ("keep", "switch")[number % 2],
        "at": number,
        "session": f"session-{number // 3}",
        "subjects": [f"subject-{number % 3}"],
        "evidence": {"tokens": 100 * number, "tag": "data labelled confidential, pii"},
    }


def filled(log: AuditLog, *, stored: Callable[[AuditLog], list[bytes]] | None = None) -> list[bytes]:
    """Append `RECORDS` records, and return what is stored of them."""
    for number in range(RECORDS):
        log.append(a_record(number))
    return [] if stored is None else stored(log)


def together(logs: Sequence[AuditLog]) -> None:
    """Let one thread per log append `EACH` records."""
    start = threading.Barrier(len(logs))

    def append(number: int, log: AuditLog) -> None:
        start.wait()
        for index in range(EACH):
            log.append({"at": number * EACH + index, "session": f"session-{number}"})

    with ThreadPoolExecutor(len(logs)) as threads:
        list(threads.map(append, range(len(logs)), logs))


def close_log(log: AuditLog) -> None:
    """Close a handle that can be closed."""
    closing: Callable[[], None] | None = getattr(log, "close", None)
    if closing is not None:
        closing()
