"""The SQLite store: what it keeps, what it refuses to believe, and what it says when the disk is not what it was."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
import warnings
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from session_router.core.call import Call, Outcome
from session_router.core.model import ModelName
from session_router.core.need import Question
from session_router.core.population import Lesson, taught
from session_router.core.pricing import Prices
from session_router.core.session import Session, SessionId, Visit
from session_router.core.step import DIGEST_BYTES, Role, Step
from session_router.core.transcript import Transcript
from session_router.errors import ConfigurationError, StoreCorrupt, StoreUnavailable
from session_router.files import connections
from session_router.identity import SessionNames, session_id
from session_router.router import Router
from session_router.stores.known_rows import KnownRows
from session_router.stores.rows import Row, RowCodec
from session_router.stores.sqlite import SQLiteSessionStore
from session_router.stores.sqlite_file import APPLICATION_ID, SCHEMA_VERSION
from session_router.testing.sessions import fresh_session_id, full_session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KEY = b"k" * 32
ID, OTHER = SessionId("ab" * 32), SessionId("cd" * 32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.db"


@pytest.fixture
def store(path: Path) -> Iterator[SQLiteSessionStore]:
    with SQLiteSessionStore(path, key=KEY) as store:
        yield store


def run_sql(path: Path, *statements: str) -> list[Any]:
    """Do what another application would do to the file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return [row for statement in statements for row in connection.execute(statement).fetchall()]


def tree(directory: Path) -> dict[str, bytes]:
    return {one.name: one.read_bytes() for one in directory.iterdir()}


# What is kept.


def test_sessions_outlive_the_store(path: Path) -> None:
    with SQLiteSessionStore(path) as store:
        assert store.commit(full_session(ID))
        key = store.key
    with SQLiteSessionStore(path) as store:
        assert store.key == key
        assert store.load(ID) == full_session(ID)
        assert store.commit(full_session(ID, version=2))


def test_the_key_lies_beside_the_file(path: Path) -> None:
    with SQLiteSessionStore(path) as store:
        key_file = path.with_name("sessions.db.key")
        assert bytes.fromhex(key_file.read_text(encoding="ascii")) == store.key
        assert stat.S_IMODE(key_file.stat().st_mode) == 0o600


def test_a_given_key_makes_no_file(path: Path) -> None:
    with SQLiteSessionStore(path, key=KEY) as store:
        assert store.key == KEY
    assert [one.name for one in path.parent.iterdir()] == ["sessions.db"]


def test_the_file_says_whose_it_is_and_is_in_wal_mode(store: SQLiteSessionStore) -> None:
    assert run_sql(store.path, "PRAGMA application_id", "PRAGMA user_version", "PRAGMA journal_mode") == [
        (APPLICATION_ID,),
        (SCHEMA_VERSION,),
        ("wal",),
    ]
    with store._connections.lease() as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (1,)


def test_rows_are_json_that_anybody_can_read(store: SQLiteSessionStore) -> None:
    store.commit(full_session(ID))
    ((name, payload, seal),) = run_sql(store.path, "SELECT id, payload, seal FROM sessions")
    assert name == ID
    assert json.loads(payload)["current"] == "stärk-模型-🧠"
    assert len(seal) == 32


def test_no_name_of_a_caller_reaches_the_disk(path: Path) -> None:
    names = SessionNames(tenant="acme-tenant", principal="alice@example.com", thread="thread-about-layoffs", agent="agent-hr")
    with SQLiteSessionStore(path) as store:
        session = session_id(store.key, names, Transcript())
        assert session is not None
        assert store.commit(full_session(session))
        written = b"".join(tree(path.parent).values())
    assert session.encode() in written
    for name in (names.tenant, names.principal, names.thread, names.agent):
        assert name is not None
        assert name.encode() not in written


def test_old_sessions_can_be_forgotten(store: SQLiteSessionStore) -> None:
    old, new, never = fresh_session_id(), fresh_session_id(), fresh_session_id()
    model = ModelName("fast")
    assert store.commit(Session(id=old).visited(model, Transcript(), at=100.0).committed())
    assert store.commit(Session(id=new).visited(model, Transcript(), at=200.0).committed())
    assert store.commit(Session(id=never).committed())
    lesson = Lesson(number=1, ended=None, chances={}, deviation=None)
    assert store.commit(Session(id=SessionId("ef" * 32), version=1, account=taught(None, [lesson])))
    assert store.forget(before=200.0) == 2
    assert store.load(old) is None
    assert store.load(never) is None
    kept = store.load(new)
    assert kept is not None
    assert store.load(SessionId("ef" * 32)) is not None  # what all sessions taught is no session
    assert store.forget(before=200.0) == 0
    # Whoever still holds a forgotten session is told, and begins anew.
    assert store.commit(Session(id=old, version=2)) is False
    assert store.commit(Session(id=old, version=1)) is True


# What is not believed.

TAMPERINGS = [
    """UPDATE sessions SET payload = replace(payload, '"turn":4', '"turn":5')""",
    "UPDATE sessions SET payload = ''",
    "UPDATE sessions SET payload = 7",
    "UPDATE sessions SET payload = x'ff00'",
    "UPDATE sessions SET payload = CAST(x'ff00' AS TEXT)",
    "UPDATE sessions SET seal = x''",
    "UPDATE sessions SET seal = 'text'",
    "UPDATE sessions SET seal = zeroblob(32)",
    "UPDATE sessions SET (payload, seal) = (SELECT payload, seal FROM sessions WHERE id = '" + "cd" * 32 + "')",
]


@pytest.mark.parametrize("statement", TAMPERINGS)
def test_an_altered_row_is_lost_and_replaced_by_the_next_first_commit(store: SQLiteSessionStore, statement: str) -> None:
    for version in (1, 2, 3):
        assert store.commit(full_session(ID, version=version))
    assert store.commit(full_session(OTHER))
    run_sql(store.path, f"{statement} WHERE id = '{ID}'")
    with pytest.raises(StoreCorrupt, match="treated as lost"):
        store.load(ID)
    with pytest.raises(StoreCorrupt, match="treated as lost"):
        asyncio.run(store.aload(ID))
    assert store.commit(full_session(ID, version=4)) is False  # it counts as absent, for all alike
    assert store.commit(full_session(ID, version=1)) is True
    assert store.load(ID) == full_session(ID)
    assert store.load(OTHER) == full_session(OTHER)


def test_an_old_row_put_back_under_the_same_id_is_a_replay_that_versions_survive(store: SQLiteSessionStore) -> None:
    assert store.commit(full_session(ID))
    ((payload, seal),) = run_sql(store.path, "SELECT payload, hex(seal) FROM sessions")
    assert store.commit(full_session(ID, version=2))
    with closing(sqlite3.connect(store.path, isolation_level=None)) as connection:
        connection.execute("UPDATE sessions SET payload = ?, seal = ?", (payload, bytes.fromhex(seal)))
    assert store.load(ID) == full_session(ID)
    assert store.commit(full_session(ID, version=3)) is False


@pytest.mark.parametrize(
    ("content", "story"),
    [
        (b"this is a diary, not a database. " * 100, "not an intact session database"),
        (b"SQLite format 3\x00" + b"\x00" * 50, "not an intact session database"),
        (b"SQLite format 3\x00" + b"\xff" * 8_000, "not an intact session database"),
    ],
)
def test_a_file_that_is_no_database_is_named_and_left_as_it_is(path: Path, content: bytes, story: str) -> None:
    path.write_bytes(content)
    with pytest.raises(StoreCorrupt, match=story) as caught:
        SQLiteSessionStore(path)
    assert str(path) in str(caught.value)
    assert "Move it away" in str(caught.value)
    assert tree(path.parent) == {"sessions.db": content}


@pytest.mark.parametrize(
    ("statements", "story"),
    [
        (["CREATE TABLE recipes (name TEXT)"], "another application's database"),
        (["PRAGMA application_id = 99"], "another application's database"),
        (["PRAGMA user_version = 7"], "another application's database"),
        ([f"PRAGMA application_id = {APPLICATION_ID}", "PRAGMA user_version = 2"], "Upgrade session-router"),
        ([f"PRAGMA application_id = {APPLICATION_ID}", "PRAGMA user_version = 1"], "not an intact session database"),
    ],
)
def test_a_database_that_is_not_ours_is_named_and_left_as_it_is(path: Path, statements: list[str], story: str) -> None:
    run_sql(path, *statements)
    before = tree(path.parent)
    with pytest.raises(StoreCorrupt, match=story) as caught:
        SQLiteSessionStore(path)
    assert str(path) in str(caught.value)
    assert tree(path.parent) == before


def test_an_empty_file_is_taken(path: Path) -> None:
    path.touch()
    with SQLiteSessionStore(path, key=KEY) as store:
        assert store.commit(full_session(ID))


def test_a_file_that_breaks_under_way_is_corrupt_and_no_crash(path: Path) -> None:
    with SQLiteSessionStore(path, key=KEY) as store:
        for _ in range(50):
            assert store.commit(full_session(fresh_session_id()))
        assert store.commit(full_session(ID))
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xa5" * (len(whole) - 4096))
    with SQLiteSessionStore(path, key=KEY) as store:
        with pytest.raises(StoreCorrupt, match="Move it away"):
            store.load(ID)
        with pytest.raises(StoreCorrupt, match="Move it away"):
            store.commit(full_session(ID))


def test_a_routed_session_heals_its_altered_row(store: SQLiteSessionStore) -> None:
    prices = {"fast": Prices(input=1.0, output=2.0), "strong": Prices(input=10.0, output=20.0)}
    router = Router({"fast": "openai:small", "strong": "openai:large"}, prices=prices, store=store, key=store.key)
    transcript = Transcript().extended([Step(role=Role.HUMAN, digest=b"h" * DIGEST_BYTES, tokens=10)])
    call = Call(transcript=transcript, question=Question(text="hello", turn=1), now=1_000.0, session=ID)
    assert router.route(call).evidence.degraded == ()
    run_sql(store.path, "UPDATE sessions SET seal = x''")
    lost = router.route(call)
    assert lost.evidence.degraded == ("store",)
    assert lost.model is not None
    assert router.route(call).evidence.degraded == ()
    run_sql(store.path, "UPDATE sessions SET seal = x''")
    observed = router.observe(lost, Outcome(at=1_001.0, model=lost.model))
    assert observed is not None
    assert store.load(ID) == observed


# Settings.


@pytest.mark.parametrize("path", ["", ":memory:", "file:sessions.db", "file::memory:?cache=shared"])
def test_what_is_no_file_is_refused_with_the_way_out(path: str) -> None:
    with pytest.raises(ConfigurationError, match="MemorySessionStore"):
        SQLiteSessionStore(path)


def test_a_missing_directory_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="must exist; make it"):
        SQLiteSessionStore(tmp_path / "missing" / "sessions.db")
    with pytest.raises(ConfigurationError, match="directory"):
        SQLiteSessionStore(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("seconds", [-1, float("nan")])
def test_a_timeout_must_be_a_time(path: Path, seconds: float) -> None:
    with pytest.raises(ConfigurationError, match="busy_timeout_seconds"):
        SQLiteSessionStore(path, key=KEY, busy_timeout_seconds=seconds)


def test_a_short_key_is_refused_before_anything_is_made(path: Path) -> None:
    with pytest.raises(ConfigurationError, match="16 bytes or more"):
        SQLiteSessionStore(path, key=b"short")
    assert list(path.parent.iterdir()) == []


def test_odd_file_names_are_only_names(tmp_path: Path) -> None:
    for name in ("with space.db", "mode=ro?immutable=1#%41.db", "üñí.db"):
        with SQLiteSessionStore(tmp_path / name, key=KEY) as store:
            assert store.commit(full_session(ID))
        assert (tmp_path / name).is_file()


# A disk, or a neighbour, that does not do what we want.


def test_a_store_that_another_holds_is_unavailable_and_then_comes_back(path: Path) -> None:
    with SQLiteSessionStore(path, key=KEY, busy_timeout_seconds=0) as store, closing(sqlite3.connect(path, isolation_level=None)) as other:
        assert store.commit(full_session(ID))
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="held by another process"):
            store.commit(full_session(ID, version=2))
        assert store.load(ID) == full_session(ID)
        other.execute("ROLLBACK")
        assert store.commit(full_session(ID, version=2))


def between_reading_and_writing(store: SQLiteSessionStore, act: Callable[[], object]) -> None:
    """Let somebody else act after the store has read a row, and before it locks the file to write."""
    done: list[object] = []

    def begins(statement: str) -> None:
        if not statement.startswith("SELECT") and not done:
            done.append(act())

    with store._connections.lease() as connection:
        connection.set_trace_callback(begins)


ROWS = "SELECT id, payload, seal, last_call FROM sessions"
COMMIT = "somebody commits"
MEANWHILE = [
    (0, COMMIT),
    (1, COMMIT),
    (1, "DELETE FROM sessions"),
    (1, "UPDATE sessions SET seal = zeroblob(32)"),
    (1, "UPDATE sessions SET payload = replace(payload, '\"turn\":4', '\"turn\":5')"),
    (1, "UPDATE sessions SET payload = CAST(payload AS BLOB), seal = 'text'"),
]


@pytest.mark.parametrize(("version", "meanwhile"), MEANWHILE)
def test_what_was_written_after_the_row_was_read_is_never_written_over(path: Path, version: int, meanwhile: str) -> None:
    theirs = replace(full_session(ID, version=version + 1), turn=99)
    with SQLiteSessionStore(path, key=KEY, busy_timeout_seconds=0) as store, SQLiteSessionStore(path, key=KEY) as other:
        left: list[Any] = []

        def act() -> None:
            assert other.commit(theirs) if meanwhile == COMMIT else run_sql(path, meanwhile) == []
            left.extend(run_sql(path, ROWS))

        for number in range(version):
            assert store.commit(full_session(ID, version=number + 1))
        before = run_sql(path, ROWS)
        between_reading_and_writing(store, act)
        assert store.commit(full_session(ID, version=version + 1)) is False
        assert run_sql(path, ROWS) == left != before
        if meanwhile == COMMIT:
            assert store.load(ID) == theirs


def test_nobody_waits_while_a_row_is_checked(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checked, decode = [], RowCodec.decode

    def slowly(codec: RowCodec, session: SessionId, row: Row) -> Session:
        with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as other:
            other.execute("BEGIN IMMEDIATE")
        checked.append(session)
        return decode(codec, session, row)

    with SQLiteSessionStore(path, key=KEY) as store, SQLiteSessionStore(path, key=KEY) as other:
        assert other.commit(full_session(ID))
        monkeypatch.setattr(RowCodec, "decode", slowly)
        assert store.commit(full_session(ID, version=2))
    assert checked == [ID]


def test_a_row_is_checked_once_while_it_stays_the_same(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checked, decode = [], RowCodec.decode

    def counting(codec: RowCodec, session: SessionId, row: Row) -> Session:
        checked.append(session)
        return decode(codec, session, row)

    monkeypatch.setattr(RowCodec, "decode", counting)
    with SQLiteSessionStore(path, key=KEY) as store, SQLiteSessionStore(path, key=KEY) as other:
        assert store.commit(full_session(ID))
        assert store.load(ID) == full_session(ID)
        assert store.commit(full_session(ID, version=2))
        assert checked == [], "it wrote them itself"
        for _ in range(2):
            assert other.load(ID) == full_session(ID, version=2)
        assert other.commit(full_session(ID, version=3))
        assert checked == [ID]
        assert store.load(ID) == full_session(ID, version=3)
        assert checked == [ID, ID]
        # What was deleted is gone, whoever remembers it; and what was put in its place is another row.
        run_sql(path, "DELETE FROM sessions")
        assert (store.load(ID), other.load(ID)) == (None, None)
        assert other.commit(full_session(ID))
        assert store.commit(full_session(ID, version=4)) is False
        assert store.load(ID) == full_session(ID)


def test_what_is_remembered_of_rows_is_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("session_router.stores.sqlite.KnownRows", partial(KnownRows, remembered=2))
    ids = [fresh_session_id() for _ in range(5)]
    with SQLiteSessionStore(path, key=KEY) as store:
        for one in ids:
            assert store.commit(full_session(one))
        for one in ids:
            assert store.load(one) == full_session(one)
        assert store._known._last.cache_info().currsize == 2


def test_what_is_large_or_was_forgotten_is_not_remembered(store: SQLiteSessionStore) -> None:
    visit = Visit(steps=1, digest=b"\x7f" * DIGEST_BYTES, tokens=1, at=1.75e9)
    large = replace(full_session(ID), visits={ModelName(f"model {number}"): visit for number in range(200)})
    assert store.commit(large)
    assert store.load(ID) == large
    assert store._known._last(ID).known is None
    assert store.commit(full_session(OTHER))
    assert store._known._last(OTHER).known is not None
    store.forget(before=0.0)
    assert store._known._last(OTHER).known is None
    assert store.load(OTHER) == full_session(OTHER)


def test_another_store_s_mark_on_a_session_is_not_kept(store: SQLiteSessionStore) -> None:
    assert store.commit(replace(full_session(ID), row=b"of another store"))
    loaded = store.load(ID)
    assert loaded is not None
    assert loaded.row == b""


def test_waiting_for_another_writer_does_not_block_the_event_loop(path: Path) -> None:
    async def main(store: SQLiteSessionStore, other: sqlite3.Connection) -> bool:
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(store.acommit(full_session(ID)))
        await asyncio.sleep(0.05)
        # Only a loop that is free gets here before the store gives up.
        assert not waiting.done()
        other.execute("ROLLBACK")
        return await waiting

    with SQLiteSessionStore(path, key=KEY, busy_timeout_seconds=30) as store, closing(sqlite3.connect(path, isolation_level=None)) as other:
        assert asyncio.run(main(store, other)) is True


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A path whose directories any user may enter: pytest's own are private."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        try:
            yield Path(directory) / "sessions.db"
        finally:
            Path(directory).chmod(0o755)


def in_a_child(directory: Path, script: str) -> str:
    """Run `script` as a user whom permissions bind, which they do not for root; it finds `path`, `key` and `ID`."""
    prelude = """
import os, sys
from pathlib import Path
from session_router.core.session import Session, SessionId, Visit
from session_router.errors import StoreError, StoreUnavailable
from session_router.stores.sqlite import SQLiteSessionStore
from session_router.testing.sessions import full_session
import asyncio, concurrent.futures.thread, resource, signal
os.chdir(sys.argv[1])
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
path, key, ID = Path("sessions.db"), b"k" * 32, SessionId("ab" * 32)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", prelude + script, str(directory)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


READ_ONLY = """
with SQLiteSessionStore(path, key=key) as store:
    print(store.load(ID) == full_session(ID), asyncio.run(store.aload(ID)) == full_session(ID), store.load(SessionId("0")))
    for _ in range(2):
        try:
            store.commit(full_session(ID, version=2))
        except StoreUnavailable as error:
            print("cannot be written" in str(error), store.load(ID) == full_session(ID))
"""


@pytest.mark.parametrize("directory_mode", [0o555, 0o777])
def test_a_read_only_file_is_still_read(open_path: Path, directory_mode: int) -> None:
    path = open_path
    with SQLiteSessionStore(path, key=KEY) as store:
        assert store.commit(full_session(ID))
    path.chmod(0o444)
    path.parent.chmod(directory_mode)
    assert in_a_child(path.parent, READ_ONLY) == "True True None\nTrue True\nTrue True\n"
    path.parent.chmod(0o755)
    with SQLiteSessionStore(path, key=KEY) as store:
        assert store.load(ID) == full_session(ID)


def test_a_directory_that_cannot_be_written_is_named(open_path: Path) -> None:
    path = open_path
    path.parent.chmod(0o555)
    told = in_a_child(path.parent, "try:\n    SQLiteSessionStore(path, key=key)\nexcept StoreUnavailable as error:\n    print(error)\n")
    assert "`sessions.db` cannot be opened" in told
    assert "writable for this user" in told
    assert list(path.parent.iterdir()) == []


FULL_DISK = """
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with SQLiteSessionStore(path, key=key) as store:
    assert store.commit(full_session(ID))
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    won, failed = 1, 0
    while not failed:
        try:
            won += store.commit(full_session(ID, version=won + 1))
        except StoreUnavailable:
            failed += 1
    assert store.load(ID) == full_session(ID, version=won)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert store.commit(full_session(ID, version=won + 1))
    print("lost nothing")
"""


def test_a_disk_that_takes_no_more_is_unavailable_and_loses_nothing(open_path: Path) -> None:
    open_path.parent.chmod(0o777)
    assert in_a_child(open_path.parent, FULL_DISK) == "lost nothing\n"


def test_a_full_database_says_what_to_do(store: SQLiteSessionStore) -> None:
    large = replace(full_session(ID), current=ModelName("m" * 100_000))
    with store._connections.lease() as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreUnavailable, match=r"cannot grow .* Free space on its disk; until then"):
        store.commit(large)
    assert store.load(ID) is None
    assert store.commit(full_session(ID))  # what is small still fits, on the same connection


# Connections.


def test_a_closed_store_says_so(path: Path) -> None:
    store = SQLiteSessionStore(path, key=KEY)
    store.close()
    store.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        store.load(ID)
    with pytest.raises(StoreUnavailable, match="closed"):
        store.commit(full_session(ID))
    assert [one.name for one in path.parent.iterdir()] == ["sessions.db"]  # no -wal, no -shm: really closed


def test_closing_waits_for_nobody_and_leaves_nothing_open(path: Path) -> None:
    store = SQLiteSessionStore(path, key=KEY)
    with store._connections.lease() as connection:
        store.close()
        assert connection.execute("SELECT count(*) FROM sessions").fetchone() == (0,)
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")


def test_a_dropped_store_leaves_nothing_open(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store = SQLiteSessionStore(path, key=KEY)
        with store._connections.lease() as connection:
            pass
        del store
        gc.collect()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")
    assert [one.name for one in path.parent.iterdir()] == ["sessions.db"]


def test_threads_that_come_and_go_share_connections(store: SQLiteSessionStore) -> None:
    for version in range(1, 21):
        thread = threading.Thread(target=store.commit, args=(full_session(ID, version=version),))
        thread.start()
        thread.join()
    assert store.load(ID) == full_session(ID, version=20)
    assert len(store._connections._idle) == 1


def test_writers_of_one_process_do_not_wait_for_ever(path: Path) -> None:
    with (
        SQLiteSessionStore(path, key=KEY, busy_timeout_seconds=0) as store,
        store._connections.lease(writing=True),
        pytest.raises(StoreUnavailable, match="busy_timeout_seconds"),
    ):
        store.commit(full_session(ID))


def test_a_fork_finds_no_connection_and_another_may_follow(store: SQLiteSessionStore) -> None:
    assert store.commit(full_session(ID))
    connections._before_fork()
    try:
        assert store._connections._idle == []
    finally:
        connections._after_fork()
    assert store.load(ID) == full_session(ID)


def test_the_file_can_be_copied_while_closed(path: Path, tmp_path: Path) -> None:
    with SQLiteSessionStore(path, key=KEY) as store:
        assert store.commit(full_session(ID))
    shutil.copy(path, tmp_path / "copy.db")
    with SQLiteSessionStore(tmp_path / "copy.db", key=KEY) as copy:
        assert copy.load(ID) == full_session(ID)
