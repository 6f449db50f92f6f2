"""Several processes, one file: no lost update, and nobody's death harms the others."""

from __future__ import annotations

import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from session_router.core.session import Session, SessionId
from session_router.errors import StoreUnavailable
from session_router.stores.sqlite import SQLiteSessionStore
from support.processes import output_of, start, start_together

if TYPE_CHECKING:
    import subprocess

KEY = b"k" * 32
SESSION = SessionId("5e" * 32)
REPLICA = Path(__file__).with_name("committing_process.py")
FOREVER = 10**9

HOLDER = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
connection.execute("UPDATE sessions SET payload = 'half'")
connection.execute("INSERT INTO sessions VALUES ('other', 'half', 'half', 0)")
print("inside", flush=True)
time.sleep(600)
"""

WAITING = """
import os, signal, sys, threading
from session_router.core.session import Session, SessionId
from session_router.stores.sqlite import SQLiteSessionStore

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has it ignored by what it runs in the background
session, key = Session(id=SessionId(sys.argv[2]), version=1), b"k" * 32
with SQLiteSessionStore(sys.argv[1] + ".other", key=key) as other:
    other.commit(session)  # what is imported at first use is there now
with SQLiteSessionStore(sys.argv[1], key=key, busy_timeout_seconds=100_000.0) as store:
    interrupt = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    interrupt.daemon = True
    interrupt.start()
    store.commit(session)
"""

FORKING = """
import os, sys, threading
from dataclasses import replace
from session_router.core.session import Session, SessionId
from session_router.stores.sqlite import SQLiteSessionStore

session = SessionId(sys.argv[2])
store = SQLiteSessionStore(sys.argv[1], key=b"k" * 32)

def commit(times):
    won = 0
    while won < times:
        stored = store.load(session) or Session(id=session)
        won += store.commit(replace(stored, turn=stored.turn + 1).committed())

commit(1)
threads = [threading.Thread(target=commit, args=(30,)) for _ in range(2)]
for thread in threads:
    thread.start()
children = []
for _ in range(3):
    child = os.fork()
    if child == 0:
        files = "/proc/self/fd"
        open_files = [os.path.realpath(f"{files}/{name}") for name in os.listdir(files)] if os.path.isdir(files) else []
        inherited = [name for name in open_files if name.startswith(os.path.realpath(sys.argv[1]))]
        if not inherited:
            commit(30)
        os._exit(3 if inherited else 0)
    children.append(child)
for thread in threads:
    thread.join()
store.close()  # the parent lets go of the file while children still write
codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
print(codes)
"""


def replicas(path: Path, *wins: int) -> list[subprocess.Popen[str]]:
    """Start replicas that begin together, and race to make the file as well."""
    return start_together([(str(REPLICA), str(path), KEY.hex(), SESSION, str(number)) for number in wins])


def finish(process: subprocess.Popen[str]) -> list[int]:
    """Wait for a replica that must succeed, and return the versions it won."""
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return [int(line) for line in printed.split()]


def committed(path: Path) -> Session:
    with SQLiteSessionStore(path, key=KEY) as store:
        session = store.load(SESSION)
    assert session is not None
    return session


def integrity(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        (answer,) = connection.execute("PRAGMA integrity_check").fetchone()
    return str(answer)


def test_four_processes_lose_no_update(tmp_path: Path) -> None:
    path, wins = tmp_path / "sessions.db", 50
    processes = replicas(path, wins, wins, wins, wins)
    versions = [version for process in processes for version in finish(process)]
    assert sorted(versions) == list(range(1, 4 * wins + 1))
    session = committed(path)
    assert (session.version, session.turn) == (4 * wins, 4 * wins)


def test_a_killed_process_harms_nobody(tmp_path: Path) -> None:
    path, wins = tmp_path / "sessions.db", 60
    victim, *others = replicas(path, FOREVER, wins, wins, wins)
    before = [int(output_of(victim).readline()) for _ in range(20)]
    victim.kill()
    with output_of(victim) as output:
        rest = output.read()
    assert victim.wait(timeout=60) == -signal.SIGKILL
    # A line that is not whole was never promised to anybody.
    told = before + [int(line) for line in rest.splitlines(keepends=True) if line.endswith("\n")]
    versions = told + [version for process in others for version in finish(process)]
    assert len(set(versions)) == len(versions)
    session = committed(path)
    # Death may have come between the last commit and its report.
    assert session.version in {len(versions), len(versions) + 1}
    assert session.turn == session.version
    assert integrity(path) == "ok"


def test_death_inside_a_transaction_undoes_it(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    with SQLiteSessionStore(path, key=KEY, busy_timeout_seconds=30.0) as store:
        assert store.commit(Session(id=SESSION, version=1))
        holder = start("-c", HOLDER, str(path))
        assert output_of(holder).readline() == "inside\n"
        assert store.load(SESSION) == Session(id=SESSION, version=1)  # readers do not wait for writers
        holder.kill()
        holder.communicate(timeout=60)
        assert store.commit(Session(id=SESSION, version=2))
        assert store.load(SESSION) == Session(id=SESSION, version=2)
        assert store.load(SessionId("other")) is None
    assert integrity(path) == "ok"


def test_a_writer_that_is_frozen_is_waited_for_and_named(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    with SQLiteSessionStore(path, key=KEY, busy_timeout_seconds=0.3) as store:
        assert store.commit(Session(id=SESSION, version=1))
        holder = start("-c", HOLDER, str(path))
        assert output_of(holder).readline() == "inside\n"
        holder.send_signal(signal.SIGSTOP)
        with pytest.raises(StoreUnavailable, match="held by another process"):
            store.commit(Session(id=SESSION, version=2))
        assert store.load(SESSION) == Session(id=SESSION, version=1)
        holder.kill()
        holder.communicate(timeout=60)
        assert store.commit(Session(id=SESSION, version=2))
    assert integrity(path) == "ok"


def test_a_writer_that_waits_can_be_interrupted(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    SQLiteSessionStore(path, key=KEY).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        process = start("-c", WAITING, str(path), SESSION)
        try:
            process.communicate(timeout=60)
        finally:
            process.kill()
        assert process.returncode == -signal.SIGINT
    with SQLiteSessionStore(path, key=KEY) as store:
        assert store.commit(Session(id=SESSION, version=1))


def test_a_store_survives_forks(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    # Python warns of any fork beside threads; that this one is sound is the point.
    process = start("-W", "ignore::DeprecationWarning", "-c", FORKING, str(path), SESSION)
    printed, _ = process.communicate(timeout=60)
    assert (process.returncode, printed) == (0, "[0, 0, 0]\n")
    session = committed(path)
    assert (session.version, session.turn) == (1 + 5 * 30, 1 + 5 * 30)
    assert integrity(path) == "ok"
