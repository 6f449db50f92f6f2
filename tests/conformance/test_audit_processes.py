"""Several processes, one log: no record is lost, and nobody's death harms the others."""

from __future__ import annotations

import signal
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from session_router.audit.file import AuditFile
from support.processes import output_of, start, start_together

if TYPE_CHECKING:
    import subprocess

KEY = b"k" * 32
WRITER = Path(__file__).with_name("appending_process.py")
FOREVER = 10**9

FORKING = """
import os, sys, threading
from session_router.audit.file import AuditFile

log = AuditFile(sys.argv[1], key=b"k" * 32, sync_seconds=None)

def append(name):
    for number in range(40):
        log.append({"at": number, "session": name})

append("parent")
threads = [threading.Thread(target=append, args=(f"thread {one}",)) for one in range(2)]
children = []
for name in range(3):
    child = os.fork()
    if child == 0:
        append(f"child {name}")
        os._exit(0)
    children.append(child)
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
log.close()
"""


def writers(path: Path, *records: int) -> list[subprocess.Popen[str]]:
    return start_together([(str(WRITER), str(path), KEY.hex(), f"writer {index}", str(number)) for index, number in enumerate(records)])


def found(path: Path) -> dict[str, list[int]]:
    """Return the numbers of the records of each writer, in the order of the log; all must be sound."""
    numbers = defaultdict[str, list[int]](list)
    with AuditFile(path, key=KEY, sync_seconds=None) as log:
        for record in log.records():
            numbers[record["session"]].append(record["at"])
        assert log.verify().problems == ()
    return numbers


def test_four_processes_lose_no_record(tmp_path: Path) -> None:
    path, records = tmp_path / "audit.jsonl", 60
    for process in writers(path, *[records] * 4):
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert found(path) == {f"writer {index}": list(range(records)) for index in range(4)}


def test_a_killed_process_harms_nobody(tmp_path: Path) -> None:
    path, records = tmp_path / "audit.jsonl", 80
    for number in range(3):
        victim, other = writers(path, FOREVER, records)
        told = [int(output_of(victim).readline()) for _ in range(10 + 7 * number)]
        victim.kill()
        with output_of(victim) as output:
            told += [int(line) for line in output.read().splitlines(keepends=True) if line.endswith("\n")]
        assert victim.wait(timeout=60) == -signal.SIGKILL
        other.communicate(timeout=60)
        assert other.returncode == 0
        numbers = found(path)
        # What was told to be appended is there; death may have come between the last record and its report.
        assert numbers["writer 0"] in (told, [*told, len(told)])
        assert numbers["writer 1"] == list(range(records))
        path.unlink()
        path.with_name("audit.jsonl.head").unlink()


def test_a_log_survives_forks(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    process = start("-W", "ignore::DeprecationWarning", "-c", FORKING, str(path))
    printed, _ = process.communicate(timeout=60)
    assert (process.returncode, printed) == (0, "[0, 0, 0]\n")
    assert found(path) == {name: list(range(40)) for name in ("parent", "thread 0", "thread 1", "child 0", "child 1", "child 2")}
