"""The laws of a session store, as tests that any implementation can run."""

# ruff: noqa: S101 -- a law is asserted

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.stateful import run_state_machine_as_test

from session_router.core.model import ModelName
from session_router.core.session import Session, Visit
from session_router.testing.session_store_model import session_store_machine
from session_router.testing.sessions import fresh_session_id, full_session, sessions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from session_router.core.session import SessionId
    from session_router.ports import SessionStore

RACERS = 8
ROUNDS = 12
_SEARCH = settings(
    max_examples=25,
    stateful_step_count=20,
    deadline=None,
    derandomize=True,
    database=None,
    report_multiple_bugs=False,
    phases=[Phase.generate, Phase.shrink],
    # The store is shared by the examples on purpose: each brings sessions of its own.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors, HealthCheck.too_slow],
)


class SessionStoreSuite:
    """Subclass it in a test module, and say which store is meant.

    A fixture `store` gives a handle of its own to every test; its storage need not be empty.

    ```python
    class TestMyStore(SessionStoreSuite):
        @pytest.fixture
        def store(self):
            return MyStore()
    ```
    """

    # What is stored is what is loaded.

    def test_absent_session_is_none(self, store: SessionStore) -> None:
        """Nobody has a session before the first commit."""
        assert store.load(fresh_session_id()) is None
        assert asyncio.run(store.aload(fresh_session_id())) is None

    def test_every_field_survives(self, store: SessionStore) -> None:
        """A session comes back as it was, sync and async."""
        session = full_session(fresh_session_id())
        assert store.commit(session) is True
        assert store.load(session.id) == session
        assert asyncio.run(store.aload(session.id)) == session

    def test_any_session_survives(self, store: SessionStore) -> None:
        """Whatever text the names are made of, and whichever fields are missing."""

        @_SEARCH
        @given(sessions())
        def survives(session: Session) -> None:
            assert store.commit(session)
            assert store.load(session.id) == session

        survives()

    def test_large_session_survives(self, store: SessionStore) -> None:
        """A session that has seen a thousand models is large, not special."""
        visit = Visit(steps=2_000, digest=b"\x7f" * 16, tokens=10**9, at=1.75e9)
        session = replace(full_session(fresh_session_id()), visits={ModelName(f"modèle-{number}"): visit for number in range(1_000)})
        assert store.commit(session)
        assert store.load(session.id) == session

    def test_commit_replaces_the_whole_session(self, store: SessionStore) -> None:
        """What the new version does not have is gone: a lock that ended must not come back."""
        session = full_session(fresh_session_id())
        assert store.commit(session)
        bare = Session(id=session.id, version=2)
        assert store.commit(bare)
        assert store.load(session.id) == bare

    def test_sessions_do_not_mix(self, store: SessionStore) -> None:
        """Each id has its own versions and its own content, ids that differ in one digit included."""
        first = full_session(fresh_session_id())
        digit = "0" if first.id[-1] != "0" else "1"
        second = Session(id=type(first.id)(first.id[:-1] + digit), version=1)
        assert store.commit(first)
        assert store.load(second.id) is None
        assert store.commit(second)
        assert store.commit(replace(second, version=2))
        assert store.load(first.id) == first
        assert store.load(second.id) == replace(second, version=2)

    # Compare-and-set.

    def test_version_must_follow_the_stored_one(self, store: SessionStore) -> None:
        """An absent session has version 0; any other step than one is refused, and changes nothing."""
        session = fresh_session_id()
        for version in (-1, 0, 2, 7):
            assert store.commit(full_session(session, version=version)) is False, f"version {version} after none"
            assert store.load(session) is None
        assert store.commit(Session(id=session, version=1)) is True
        assert store.commit(Session(id=session, version=2)) is True
        for version in (-1, 0, 1, 2, 4, 9):
            assert store.commit(full_session(session, version=version)) is False, f"version {version} after 2"
            assert store.load(session) == Session(id=session, version=2)

    def test_stale_commit_is_refused(self, store: SessionStore) -> None:
        """Of two that started from the same version the later one is told, and nothing is lost."""
        base = Session(id=fresh_session_id(), version=1)
        assert store.commit(base)
        mine, theirs = replace(base.committed(), turn=1), replace(base.committed(), turn=2)
        assert store.commit(theirs) is True
        assert store.commit(mine) is False
        assert store.load(base.id) == theirs

    def test_async_obeys_the_same_versions(self, store: SessionStore) -> None:
        """Sync and async are one store."""
        session = fresh_session_id()

        async def main() -> None:
            assert await store.acommit(full_session(session, version=2)) is False
            assert await store.acommit(full_session(session, version=1)) is True
            assert await store.acommit(full_session(session, version=1)) is False
            assert await store.aload(session) == full_session(session, version=1)

        asyncio.run(main())
        assert store.load(session) == full_session(session, version=1)
        assert store.commit(full_session(session, version=1)) is False
        assert store.commit(full_session(session, version=2)) is True

    def test_threads_race_and_one_wins_each_version(self, store: SessionStore) -> None:
        """However many start from the same version, it is committed exactly once."""
        race_of_threads([store] * RACERS)

    def test_tasks_race_and_one_wins_each_version(self, store: SessionStore) -> None:
        """The same on one event loop."""

        async def main() -> None:
            session = fresh_session_id()
            for version in range(1, ROUNDS + 1):
                proposals = _proposals(session, version)
                won = await asyncio.gather(*map(store.acommit, proposals))
                _assert_one_won(proposals, won, await store.aload(session))

        asyncio.run(main())

    def test_store_behaves_like_a_dictionary_with_versions(self, store: SessionStore) -> None:
        """Any sequence of loads and commits, sync and async, gives what a dictionary gives."""
        with asyncio.Runner() as runner:
            machine = session_store_machine(store, runner)
            run_state_machine_as_test(machine, settings=_SEARCH)


class SharedSessionStoreSuite(SessionStoreSuite):
    """The same, for storage that replicas share: subclass this one, and say how another replica opens it.

    ```python
    class TestMyStore(SharedSessionStoreSuite):
        @pytest.fixture
        def store(self):
            with MyStore(URL) as store:
                yield store

        def reopen(self, store):
            return MyStore(URL)
    ```
    """

    def reopen(self, store: SessionStore) -> SessionStore:
        """Return another handle to the storage of `store`; it is closed after use if it has a `close`."""
        raise NotImplementedError

    def test_second_handle_sees_commits(self, store: SessionStore) -> None:
        """Storage is shared at once, in both directions."""
        other = self.reopen(store)
        session = full_session(fresh_session_id())
        assert store.commit(session)
        assert other.load(session.id) == session
        assert other.commit(session.committed())
        assert store.load(session.id) == session.committed()
        close(other)
        assert store.load(session.id) == session.committed()

    def test_any_session_survives_in_another_handle(self, store: SessionStore) -> None:
        """What one handle wrote, another one reads, whatever either of them has seen: nobody answers from a copy of its own."""
        other = self.reopen(store)

        @_SEARCH
        @given(sessions())
        def survives(session: Session) -> None:
            assert store.commit(session)
            assert other.load(session.id) == session
            after = replace(session.committed(), turn=session.turn + 1)
            assert store.commit(after)
            assert other.load(session.id) == after

        survives()
        close(other)

    def test_second_handle_cannot_commit_what_the_first_has_overtaken(self, store: SessionStore) -> None:
        """No handle trusts what it has seen before."""
        other = self.reopen(store)
        base = full_session(fresh_session_id())
        assert store.commit(base)
        assert other.load(base.id) == base
        assert store.commit(replace(base.committed(), turn=1))
        assert other.commit(replace(base.committed(), turn=2)) is False
        assert other.load(base.id) == replace(base.committed(), turn=1)
        close(other)

    def test_handles_race_and_one_wins_each_version(self, store: SessionStore) -> None:
        """Replicas that start from the same version: exactly one commits it."""
        others = [self.reopen(store) for _ in range(RACERS - 1)]
        race_of_threads([store, *others])
        for other in others:
            close(other)


def race_of_threads(stores: Sequence[SessionStore]) -> None:
    """Let one thread per store commit the same version at the same moment, `ROUNDS` times."""
    session = fresh_session_id()
    start = threading.Barrier(len(stores))

    def commit(store: SessionStore, proposal: Session) -> bool:
        start.wait()
        return store.commit(proposal)

    with ThreadPoolExecutor(len(stores)) as threads:
        for version in range(1, ROUNDS + 1):
            proposals = _proposals(session, version, racers=len(stores))
            won = list(threads.map(commit, stores, proposals))
            for store in stores:
                _assert_one_won(proposals, won, store.load(session))


def close(store: SessionStore) -> None:
    """Close a handle that can be closed."""
    closing: Callable[[], None] | None = getattr(store, "close", None)
    if closing is not None:
        closing()


def _proposals(session: SessionId, version: int, *, racers: int = RACERS) -> list[Session]:
    return [replace(full_session(session, version=version), turn=racer) for racer in range(racers)]


def _assert_one_won(proposals: Sequence[Session], won: Sequence[bool], stored: Session | None) -> None:
    winners = [proposal for proposal, has_won in zip(proposals, won, strict=True) if has_won]
    assert len(winners) == 1, f"{len(winners)} commits of version {proposals[0].version} were accepted"
    assert stored == winners[0]
