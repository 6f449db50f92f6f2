"""Every store obeys the laws, and the laws are known to bite."""

from __future__ import annotations

import time
from dataclasses import MISSING, fields, replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import Phase, settings

import session_router.testing
from session_router.core.account import Account
from session_router.core.model import ModelName
from session_router.core.session import Session, SessionId
from session_router.errors import StoreCorrupt
from session_router.stores.memory import MemorySessionStore
from session_router.stores.sqlite import SQLiteSessionStore
from session_router.testing import SessionStoreSuite, SharedSessionStoreSuite, session_store_suite

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from session_router.ports import SessionStore

KEY = b"k" * 32


class TestMemorySessionStore(SessionStoreSuite):
    @pytest.fixture
    def store(self) -> MemorySessionStore:
        return MemorySessionStore()


def test_the_population_takes_no_session_s_place() -> None:
    store = MemorySessionStore(maximum_sessions=1)
    population, one, other = Session(id=SessionId("0" * 64), version=1, account=Account()), a_session("1"), a_session("2")
    assert store.commit(population)
    assert store.commit(one)
    assert (store.load(population.id), store.load(one.id)) == (population, one)
    assert store.commit(other)
    assert (store.load(population.id), store.load(one.id), store.load(other.id)) == (population, None, other)


def a_session(digit: str) -> Session:
    return Session(id=SessionId(digit * 64), version=1)


def test_a_store_in_memory_is_closed_as_the_others_are() -> None:
    with MemorySessionStore() as store:
        assert store.commit(a_session("1"))
    store.close()
    assert store.load(a_session("1").id) == a_session("1")


class TestSQLiteSessionStore(SharedSessionStoreSuite):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[SQLiteSessionStore]:
        with SQLiteSessionStore(tmp_path / "sessions.db", key=KEY) as store:
            yield store

    def reopen(self, store: SessionStore) -> SessionStore:
        assert isinstance(store, SQLiteSessionStore)
        return SQLiteSessionStore(store.path, key=store.key)


class DictionaryStore:
    """A sound store, one method a fault: each broken store overrides one of them."""

    def __init__(self) -> None:
        self.rows: dict[str, Session] = {}
        self.sound = MemorySessionStore()

    def name_of(self, session: SessionId) -> str:
        return session

    def accepts(self, stored: int, proposed: int) -> bool:
        return proposed == stored + 1

    def kept(self, session: Session) -> Session:
        return session

    def before_write(self) -> None:
        """Nothing happens here in a sound store on one thread."""

    def answer(self, *, stored: bool) -> bool:
        return stored

    def load(self, session: SessionId) -> Session | None:
        found = self.rows.get(self.name_of(session))
        return None if found is None else replace(found, id=session)

    def commit(self, session: Session) -> bool:
        stored = self.rows.get(self.name_of(session.id))
        accepted = self.accepts(0 if stored is None else stored.version, session.version)
        if accepted:
            self.before_write()
            self.rows[self.name_of(session.id)] = self.kept(session)
        return self.answer(stored=accepted)

    async def aload(self, session: SessionId) -> Session | None:
        return self.load(session)

    async def acommit(self, session: Session) -> bool:
        return self.commit(session)


class LastWriteWins(DictionaryStore):
    def accepts(self, stored: int, proposed: int) -> bool:
        return stored >= 0 or proposed >= 0


class AcceptsAnyLaterVersion(DictionaryStore):
    def accepts(self, stored: int, proposed: int) -> bool:
        return proposed > stored


class AcceptsTheSameVersionAgain(DictionaryStore):
    def accepts(self, stored: int, proposed: int) -> bool:
        return proposed in {stored, stored + 1}


class AcceptsOnlyFirstCommits(DictionaryStore):
    def accepts(self, stored: int, proposed: int) -> bool:
        return stored == 0 and proposed == 1


class SharedAcrossIds(DictionaryStore):
    def name_of(self, session: SessionId) -> str:
        return session[:0]


class LooksAtHalfOfTheId(DictionaryStore):
    def name_of(self, session: SessionId) -> str:
        return session[:32]


class ChecksThenWrites(DictionaryStore):
    def before_write(self) -> None:
        time.sleep(0.002)


class SaysYesToEverything(DictionaryStore):
    def answer(self, *, stored: bool) -> bool:
        return stored >= False


class LosesEverything(DictionaryStore):
    def load(self, session: SessionId) -> Session | None:
        return self.sound.load(session)


class WritesWhatItRefuses(DictionaryStore):
    def commit(self, session: Session) -> bool:
        accepted = super().commit(session)
        self.rows[session.id] = session
        return accepted


class MergesVisits(DictionaryStore):
    def kept(self, session: Session) -> Session:
        before = self.rows.get(session.id)
        return session if before is None else replace(session, visits={**before.visits, **session.visits})


class KeepsAnEndedLock(DictionaryStore):
    def kept(self, session: Session) -> Session:
        before = self.rows.get(session.id)
        return session if before is None or session.lock else replace(session, lock=before.lock)


class RoundsTimes(DictionaryStore):
    def kept(self, session: Session) -> Session:
        return replace(session, visits={name: replace(visit, at=float(int(visit.at))) for name, visit in session.visits.items()})


class ReplacesUnicode(DictionaryStore):
    def kept(self, session: Session) -> Session:
        current = session.current
        return session if current is None else replace(session, current=ModelName(current.encode("ascii", "replace").decode("ascii")))


class CapsVisits(DictionaryStore):
    def kept(self, session: Session) -> Session:
        return replace(session, visits=dict(list(session.visits.items())[:100]))


class AsyncIsAnotherStore(DictionaryStore):
    async def aload(self, session: SessionId) -> Session | None:
        return self.sound.load(session)

    async def acommit(self, session: Session) -> bool:
        return self.sound.commit(session)


class AsyncLastWriteWins(DictionaryStore):
    async def acommit(self, session: Session) -> bool:
        self.rows[session.id] = session
        return True


def dropping(field: str) -> type[DictionaryStore]:
    """A store that forgets one field."""
    (declared,) = (one for one in fields(Session) if one.name == field)
    default = declared.default if declared.default is not MISSING else {}

    class DropsAField(DictionaryStore):
        name = f"Drops_{field}"

        def kept(self, session: Session) -> Session:
            return replace(session, **{field: default})

    return DropsAField


CONTENT = [field.name for field in fields(Session) if field.compare and field.name not in {"id", "version"}]
BROKEN: list[tuple[type[SessionStore], str]] = [
    (LastWriteWins, "test_version_must_follow_the_stored_one"),
    (LastWriteWins, "test_stale_commit_is_refused"),
    (LastWriteWins, "test_threads_race_and_one_wins_each_version"),
    (LastWriteWins, "test_tasks_race_and_one_wins_each_version"),
    (LastWriteWins, "test_store_behaves_like_a_dictionary_with_versions"),
    (AcceptsAnyLaterVersion, "test_version_must_follow_the_stored_one"),
    (AcceptsAnyLaterVersion, "test_store_behaves_like_a_dictionary_with_versions"),
    (AcceptsTheSameVersionAgain, "test_stale_commit_is_refused"),
    (AcceptsTheSameVersionAgain, "test_store_behaves_like_a_dictionary_with_versions"),
    (AcceptsOnlyFirstCommits, "test_commit_replaces_the_whole_session"),
    (AcceptsOnlyFirstCommits, "test_threads_race_and_one_wins_each_version"),
    (SharedAcrossIds, "test_sessions_do_not_mix"),
    (LooksAtHalfOfTheId, "test_sessions_do_not_mix"),
    (ChecksThenWrites, "test_threads_race_and_one_wins_each_version"),
    (SaysYesToEverything, "test_version_must_follow_the_stored_one"),
    (SaysYesToEverything, "test_tasks_race_and_one_wins_each_version"),
    (LosesEverything, "test_every_field_survives"),
    (WritesWhatItRefuses, "test_version_must_follow_the_stored_one"),
    (WritesWhatItRefuses, "test_stale_commit_is_refused"),
    (MergesVisits, "test_commit_replaces_the_whole_session"),
    (KeepsAnEndedLock, "test_commit_replaces_the_whole_session"),
    (RoundsTimes, "test_every_field_survives"),
    (RoundsTimes, "test_any_session_survives"),
    (ReplacesUnicode, "test_every_field_survives"),
    (ReplacesUnicode, "test_any_session_survives"),
    (CapsVisits, "test_large_session_survives"),
    (AsyncIsAnotherStore, "test_every_field_survives"),
    (AsyncIsAnotherStore, "test_async_obeys_the_same_versions"),
    (AsyncIsAnotherStore, "test_store_behaves_like_a_dictionary_with_versions"),
    (AsyncLastWriteWins, "test_async_obeys_the_same_versions"),
    (AsyncLastWriteWins, "test_tasks_race_and_one_wins_each_version"),
    *((dropping(field), "test_every_field_survives") for field in CONTENT),
]


@pytest.mark.parametrize(("broken", "law"), BROKEN, ids=[f"{vars(broken).get('name', broken.__name__)}-{law}" for broken, law in BROKEN])
def test_the_suite_fails_for_a_broken_store(broken: type[SessionStore], law: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # The smallest counterexample is for people; here any will do.
    monkeypatch.setattr(session_store_suite, "_SEARCH", settings(session_store_suite._SEARCH, phases=[Phase.generate]))
    with pytest.raises(AssertionError):
        getattr(SessionStoreSuite(), law)(broken())


LAWS = [name for name in dir(SessionStoreSuite) if name.startswith("test_")]


@pytest.mark.parametrize("law", [law for law in LAWS if "threads" not in law])
def test_the_store_that_the_broken_ones_are_made_from_is_sound(law: str) -> None:
    getattr(SessionStoreSuite(), law)(DictionaryStore())


def test_every_law_is_broken_by_some_store() -> None:
    assert {law for _, law in BROKEN} | {"test_absent_session_is_none"} == set(LAWS)


def test_absence_is_checked() -> None:
    class InventsSessions(DictionaryStore):
        def load(self, session: SessionId) -> Session | None:
            return Session(id=session)

    with pytest.raises(AssertionError):
        SessionStoreSuite().test_absent_session_is_none(InventsSessions())


class TrustsItsCopy(DictionaryStore):
    """A handle that reads the shared file once and then answers from what it remembers."""

    def __init__(self, shared: SQLiteSessionStore) -> None:
        super().__init__()
        self.shared = shared

    def load(self, session: SessionId) -> Session | None:
        if session not in self.rows and (found := self.shared.load(session)):
            self.rows[session] = found
        return super().load(session)


class TrustsItsCopySuite(SharedSessionStoreSuite):
    def reopen(self, store: SessionStore) -> SessionStore:
        assert isinstance(store, SQLiteSessionStore)
        return TrustsItsCopy(store)


@pytest.mark.parametrize("law", sorted({name for name in dir(SharedSessionStoreSuite) if name.startswith("test_")} - set(LAWS)))
def test_the_suite_fails_for_handles_that_do_not_share(tmp_path: Path, law: str) -> None:
    with SQLiteSessionStore(tmp_path / "sessions.db", key=KEY) as store, pytest.raises(AssertionError):
        getattr(TrustsItsCopySuite(), law)(store)


class RoundsWhatOthersWrote(DictionaryStore):
    """A handle that forgets something of what it has not written itself."""

    def __init__(self, shared: SQLiteSessionStore) -> None:
        super().__init__()
        self.shared = shared

    def load(self, session: SessionId) -> Session | None:
        found = self.shared.load(session)
        return None if found is None else RoundsTimes().kept(found)


class RoundsWhatOthersWroteSuite(SharedSessionStoreSuite):
    def reopen(self, store: SessionStore) -> SessionStore:
        assert isinstance(store, SQLiteSessionStore)
        return RoundsWhatOthersWrote(store)


def test_the_suite_fails_for_a_handle_that_reads_less_than_was_written(tmp_path: Path) -> None:
    with SQLiteSessionStore(tmp_path / "sessions.db", key=KEY) as store, pytest.raises(AssertionError):
        RoundsWhatOthersWroteSuite().test_any_session_survives_in_another_handle(store)


def test_the_package_names_what_it_exports() -> None:
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        _ = session_router.testing.nothing_of_the_kind
    assert {"SessionStoreSuite", "SharedSessionStoreSuite"} <= set(dir(session_router.testing))


def test_a_store_with_another_key_reads_nothing(tmp_path: Path) -> None:
    session = Session(id=SessionId("0" * 64), version=1)
    with SQLiteSessionStore(tmp_path / "sessions.db", key=KEY) as store:
        assert store.commit(session)
    with SQLiteSessionStore(tmp_path / "sessions.db", key=b"another key of 32 bytes or so...") as store, pytest.raises(StoreCorrupt):
        store.load(session.id)
