"""The audit file where the laws do not look: keys, heads, crashes, disks, erasures."""

from __future__ import annotations

import errno
import gc
import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from session_router.audit.file import AuditFile
from session_router.audit.reading import Fault
from session_router.errors import AuditCorrupt, AuditUnavailable, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = b"k" * 32


class At:
    """A clock that stands."""

    def __init__(self, now: float = 1.7e9) -> None:
        self.time = now

    def now(self) -> float:
        return self.time


def opened(path: Path, **options: Any) -> AuditFile:
    return AuditFile(path, **{"key": KEY, "sync_seconds": None, **options})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


@pytest.fixture
def log(path: Path) -> Iterator[AuditFile]:
    with opened(path, clock=At()) as log:
        yield log


def faults(log: AuditFile) -> list[Fault]:
    return [problem.fault for problem in log.verify().problems]


def events(log: AuditFile) -> list[Any]:
    return [note["event"] for note in log.verify().notes]


# What a line is.


def test_a_line_is_readable_json(log: AuditFile) -> None:
    log.append({"decision": "keep", "at": 1.5, "session": "s", "decision_id": "d", "subjects": ["ann"]})
    line = json.loads(log.path.read_text(encoding="utf-8"))
    assert line["facts"] == {"at": 1.5, "decision": "keep"}
    assert line["personal"] == {"decision_id": "d", "salt": line["personal"]["salt"], "session": "s", "subjects": ["ann"]}
    assert (line["sequence"], line["at"], line["version"]) == (1, 1.7e9, 1)
    assert len(line["personal"]["salt"]) == 32


def test_two_equal_records_have_different_commitments(log: AuditFile) -> None:
    for _ in range(2):
        log.append({"session": "s"})
    first, second = log.lines()
    assert first.commitment != second.commitment


def test_nobody_else_can_read_the_files(log: AuditFile) -> None:
    log.append({})
    assert {oct(file.stat().st_mode & 0o777) for file in log.path.parent.iterdir()} == {"0o600"}


# Keys and heads.


def test_another_key_is_refused_and_changes_nothing(log: AuditFile, path: Path) -> None:
    log.append({})
    before = path.read_bytes()
    with pytest.raises(AuditCorrupt, match="no head that this key signed"):
        opened(path, key=b"x" * 32)
    log.head.unlink()
    with pytest.raises(AuditCorrupt, match="no log that this key sealed"):
        opened(path, key=b"x" * 32)
    assert path.read_bytes() == before


def test_the_key_lies_beside_the_file_unless_given(path: Path) -> None:
    with AuditFile(path, sync_seconds=None) as log:
        log.append({})
    assert len(bytes.fromhex(path.with_name("audit.jsonl.key").read_text().strip())) == 32
    with AuditFile(path, sync_seconds=None) as log:
        assert log.verify().sound


def test_a_missing_head_is_found_and_noted(log: AuditFile, path: Path) -> None:
    log.append({})
    log.head.unlink()
    assert faults(log) == [Fault.NO_HEAD]
    with opened(path) as other:
        other.append({})
        assert Fault.BROKEN in faults(other)
        assert not other.verify().torn


@pytest.mark.parametrize("slot", [0, 1])
def test_a_damaged_head_hides_no_cut(log: AuditFile, slot: int) -> None:
    for number in range(4):
        log.append({"at": number})
    head = bytearray(log.head.read_bytes())
    head[512 * slot + 20] ^= 1
    log.head.write_bytes(head)
    log.path.write_bytes(b"".join(log.path.read_bytes().splitlines(keepends=True)[:-1]))
    assert Fault.NO_HEAD in faults(log) or Fault.CUT in faults(log)
    with opened(log.path) as other:
        other.append({})
        assert Fault.BROKEN in faults(other)


def test_the_log_file_alone_cannot_be_taken_away(log: AuditFile, path: Path) -> None:
    log.append({})
    path.unlink()
    with opened(path) as other:
        other.append({})
        assert Fault.BROKEN in faults(other)


def test_a_rollback_of_both_files_shows_beside_a_copy_of_the_head(log: AuditFile, path: Path, tmp_path: Path) -> None:
    log.append({"at": 1})
    old = path.read_bytes(), log.head.read_bytes()
    log.append({"at": 2})
    copy = tmp_path / "copy"
    copy.write_text(log.head_text(), encoding="ascii")
    assert log.verify(copies=[log.head_of(copy)]).sound
    path.write_bytes(old[0])
    log.head.write_bytes(old[1])
    assert log.verify().sound  # nothing here can show it
    assert [problem.fault for problem in log.verify(copies=[log.head_of(copy)]).problems] == [Fault.CUT]
    log.append({"at": 3})
    assert [problem.fault for problem in log.verify(copies=[log.head_of(copy)]).problems] == [Fault.ANOTHER_LOG]
    with pytest.raises(AuditCorrupt, match="holds no head"):
        log.head_of(path)


def test_an_empty_log_is_sound(log: AuditFile) -> None:
    found = log.verify()
    assert (found.sound, found.records, log.head_text()) == (True, 0, "")


# Writers that die.


@pytest.mark.parametrize("kept", ["the first byte", "half", "all but the end of the line"])
def test_a_torn_line_is_kept_aside_and_the_chain_goes_on(log: AuditFile, path: Path, kept: str) -> None:
    for number in range(3):
        log.append({"at": number})
    heads = log.head.read_bytes()
    log.append({"at": 3})
    whole = path.read_bytes()
    start = whole.rindex(b"\n", 0, -1) + 1
    bytes_kept = {"the first byte": 1, "half": (len(whole) - start) // 2, "all but the end of the line": len(whole) - start - 1}[kept]
    path.write_bytes(whole[: start + bytes_kept])
    log.head.write_bytes(heads)  # it died before it wrote the head
    assert (log.verify().torn, faults(log)) == (bytes_kept, [])
    with opened(path) as other:
        other.append({"at": 4})
        found = other.verify()
        assert (found.sound, found.records, events(other)) == (True, 4, ["recovered"])
        (note,) = found.notes
        assert (note["bytes"], path.with_name(str(note["kept"])).read_bytes()) == (bytes_kept, whole[start : start + bytes_kept])


def test_a_line_without_its_head_is_part_of_the_log(log: AuditFile, path: Path) -> None:
    log.append({"at": 1})
    heads = log.head.read_bytes()
    log.append({"at": 2})
    log.head.write_bytes(heads)
    assert (log.verify().newer, faults(log)) == (1, [])
    with opened(path) as other:
        other.append({"at": 3})
        assert (other.verify().newer, faults(other)) == (0, [])


def test_a_full_disk_leaves_nothing_of_a_record(log: AuditFile, monkeypatch: pytest.MonkeyPatch) -> None:
    log.append({"at": 1})
    write, calls = os.pwrite, 0

    def half(descriptor: int, text: bytes, place: int) -> int:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, text[: len(text) // 2], place)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", half)
        with pytest.raises(AuditUnavailable, match="No space left"):
            log.append({"at": 2})
    assert log.verify().torn == 0
    log.append({"at": 3})
    assert ([record["at"] for record in log.records()], faults(log)) == ([1, 3], [])


def test_a_clock_that_gives_no_time_writes_nothing(path: Path) -> None:
    clock = At()
    with opened(path, clock=clock) as log:
        clock.time = float("nan")
        with pytest.raises(AuditUnavailable):
            log.append({})
        clock.time = 1.7e9
        log.append({})
        assert (log.verify().records, faults(log)) == (1, [])


# The disk.


def test_records_reach_the_disk_as_often_as_asked(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    done = threading.Event()

    def sync(descriptor: int) -> None:
        synced.append(descriptor)
        done.set()

    monkeypatch.setattr(os, "fsync", sync)
    with opened(path, sync_seconds=0) as log:
        synced.clear()
        log.append({})
        assert len(synced) == 2  # the log and its head
    with opened(path, sync_seconds=None) as log:
        synced.clear()
        log.append({})
        log.close()
        assert not synced
    with opened(path, sync_seconds=0.01) as log:
        synced.clear()
        done.clear()
        log.append({})
        assert done.wait(30)


def test_threads_that_wait_for_the_disk_wait_together(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads, synced = 8, []
    with opened(path, sync_seconds=0) as log:

        def slow(descriptor: int) -> None:
            synced.append(descriptor)
            deadline = time.monotonic() + 30
            while log._unsynced < threads and time.monotonic() < deadline:
                time.sleep(0.001)

        monkeypatch.setattr(os, "fsync", slow)
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(log.append, [{"at": number} for number in range(threads)]))
        # The first waits for itself; by then all others have written, and one of them waits for all.
        assert len(synced) == 2 * 2
        assert (log.verify().records, faults(log)) == (threads, [])


def test_a_disk_that_fails_later_shows_at_the_next_record(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = opened(path, sync_seconds=3600.0)
    log.append({})

    def fails(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fails)
        log.sync_when_due()
    with pytest.raises(AuditUnavailable, match="Input/output error"):
        log.append({})
    log.append({})
    log.close()
    with pytest.raises(AuditUnavailable, match="is closed"):
        log.append({})


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"sync_seconds": -1}, "0 or more"),
        ({"patience_seconds": "long"}, "0 or more"),
        ({"key": b"short"}, "16 bytes or more"),
        ({"head": "/nowhere/at/all"}, "must exist"),
    ],
)
def test_wrong_settings_are_told(path: Path, options: dict[str, Any], rule: str) -> None:
    with pytest.raises(ConfigurationError, match=rule):
        opened(path, **options)


def test_a_directory_is_no_log(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="this is a directory"):
        opened(tmp_path)


def test_a_holder_of_the_lock_is_told_of(path: Path) -> None:
    with opened(path, patience_seconds=0.0) as log, opened(path) as holder:
        holder._lock.take()
        with pytest.raises(AuditUnavailable, match="another process holds"):
            log.append({})
        holder._lock.give_back()
        log.append({})


def test_a_log_that_is_dropped_holds_no_file_open(path: Path) -> None:
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("no list of open files here")

    def held() -> int:
        return sum(str(path) in os.path.realpath(file) for file in Path("/proc/self/fd").iterdir())

    log = opened(path)
    log.append({})
    assert held() == 3
    del log
    gc.collect()
    assert held() == 0


# Erasure.


def test_who_is_erased_is_gone_from_every_place(log: AuditFile) -> None:
    log.append({"session": "s", "subjects": ["ann", "bob"], "decision": "keep"})
    log.append({"session": "s", "principal": "ann"})
    log.append({"boundary": {"session": "ann"}})
    log.append({"session": "s", "subjects": ["anna"]})
    torn = log.path.with_name("audit.jsonl.torn-1")
    torn.write_bytes(b'{"subjects":["ann"')
    assert log.erase("ann", why="asked on paper").sequences == (1, 2, 3)
    assert (b'"ann"' in log.path.read_bytes(), torn.exists()) == (False, False)
    assert [record.get("subjects") for record in log.records()] == [None, None, None, ["anna"]]
    assert next(log.records()) == {"decision": "keep"}
    found = log.verify()
    assert (found.sound, found.erased, found.records) == (True, 3, 4)
    assert found.notes[0] == {"event": "erased", "sequences": [[1, 3]], "why": "asked on paper"}


def test_what_is_erased_unsaid_is_found(log: AuditFile) -> None:
    log.append({"session": "s", "decision": "keep"})
    log.append({"session": "t"})
    first, second = log.lines()
    log.path.write_bytes(log._codec.erased_text(first) + b"\n" + log.path.read_bytes().splitlines(keepends=True)[1])
    assert faults(log) == [Fault.ERASED_UNSAID]
    assert second.personal is not None


def test_an_erasure_that_was_interrupted_is_found_and_done_again(log: AuditFile, monkeypatch: pytest.MonkeyPatch) -> None:
    log.append({"session": "s"})

    def dies(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("session_router.audit.file.rewrite_without", dies)
        with pytest.raises(AuditUnavailable):
            log.erase("s")
    assert faults(log) == [Fault.ERASURE_UNFINISHED]
    assert log.erase("s").sequences == (1,)
    assert faults(log) == []


def test_an_erasure_tells_what_providers_may_still_hold(path: Path) -> None:
    clock = At(1_000.0)
    with opened(path, clock=clock) as log:
        sent = {"subjects": ["ann"], "decision": "keep"}
        log.append({**sent, "model": "past", "exposure": {"until": 999.0, "endpoint": "eu"}})
        log.append({**sent, "model": "held", "exposure": {"until": 2_000.0, "endpoint": "eu"}})
        log.append({**sent, "model": "held", "exposure": {"until": 3_000.0, "endpoint": "eu"}})
        log.append({**sent, "model": "unknown"})
        log.append({**sent, "model": "held", "decision": "cache_hit"})
        log.append({**sent, "model": None, "decision": "refuse"})
        exposures = [(one.model, one.endpoint, one.calls, one.until) for one in log.erase("ann").exposures]
    assert exposures == [("held", "eu", 2, 3_000.0), ("unknown", "", 1, None)]
