"""Our audit log obeys the laws of one, and logs that do not are told."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pytest

from session_router.audit.file import AuditFile
from session_router.testing import AuditLogSuite, ErasableAuditLogSuite
from support.unsound_logs import KEY, Headless, Unchained, Unsealed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path


class OfFiles(ErasableAuditLogSuite):
    def reopen(self, log: AuditFile) -> AuditFile:
        return type(log)(log.path, key=KEY, sync_seconds=None)

    def records(self, log: AuditFile) -> Sequence[Mapping[str, Any]]:
        return list(log.records())

    def problems(self, log: AuditFile) -> Sequence[object]:
        return log.verify().problems

    def stored(self, log: AuditFile) -> list[bytes]:
        return log.path.read_bytes().splitlines(keepends=True)

    def put_back(self, log: AuditFile, rows: Sequence[bytes]) -> None:
        log.path.write_bytes(b"".join(rows))

    def erase(self, log: AuditFile, subject: str) -> int:
        return len(log.erase(subject).sequences)


class TestAuditFile(OfFiles):
    @pytest.fixture
    def log(self, tmp_path: Path) -> Iterator[AuditFile]:
        with AuditFile(tmp_path / "audit.jsonl", key=KEY, sync_seconds=None) as log:
            yield log


class TestAuditFileOnTheDisk(AuditLogSuite):
    """Every record waits for the disk."""

    reopen, records, problems = OfFiles.reopen, OfFiles.records, OfFiles.problems
    stored, put_back = OfFiles.stored, OfFiles.put_back

    @pytest.fixture
    def log(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AuditFile]:
        monkeypatch.setattr("os.fsync", lambda _: None)  # the disk of whoever runs this is not what is tested
        with AuditFile(tmp_path / "audit.jsonl", key=KEY, sync_seconds=0) as log:
            yield log


# The suite tells what is unsound.


class OfUnchained(OfFiles):
    def reopen(self, log: Any) -> Any:
        return log

    def records(self, log: Any) -> Sequence[Mapping[str, Any]]:
        return list(log.records())

    def problems(self, log: Any) -> Sequence[object]:
        return log.problems()


def broken(suite: OfFiles, log_at: Callable[[Path], Any], directory: Path) -> set[str]:
    """Return the laws that a log breaks."""
    found = set()
    for name, law in inspect.getmembers(suite, inspect.ismethod):
        if not name.startswith("test_"):
            continue
        place = directory / name
        place.mkdir()
        try:
            law(log_at(place / "audit.jsonl"))
        except AssertionError:
            found.add(name)
        except AttributeError:
            pass  # it cannot erase
    return found


def of(kind: type[AuditFile]) -> Callable[[Path], AuditFile]:
    return lambda path: kind(path, key=KEY, sync_seconds=None)


def test_a_sound_log_breaks_no_law(tmp_path: Path) -> None:
    assert broken(OfFiles(), of(AuditFile), tmp_path) == set()


def test_a_log_without_a_chain_is_refused(tmp_path: Path) -> None:
    assert broken(OfUnchained(), Unchained, tmp_path) >= {
        "test_any_deleted_record_is_found",
        "test_any_swapped_records_are_found",
        "test_any_repeated_record_is_found",
        "test_any_cut_is_found",
        "test_what_was_cut_stays_missing_when_the_log_goes_on",
    }


def test_a_log_without_a_head_is_refused(tmp_path: Path) -> None:
    assert "test_any_cut_is_found" in broken(OfFiles(), of(Headless), tmp_path)


def test_a_log_without_seals_is_refused(tmp_path: Path) -> None:
    assert "test_any_flipped_bit_is_found" in broken(OfFiles(), of(Unsealed), tmp_path)
