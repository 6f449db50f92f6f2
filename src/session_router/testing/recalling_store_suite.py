"""The laws of a session store that recalls what it saw, as tests that any implementation can run."""

# ruff: noqa: S101 -- a law is asserted

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from session_router.core.session import Session
from session_router.testing.session_store_suite import SharedSessionStoreSuite, close
from session_router.testing.sessions import fresh_session_id, full_session

if TYPE_CHECKING:
    from session_router.ports import RecallingStore, SessionStore

CALLS = 8
"""Calls of a session that stays, each with a load and two commits, after which a store should know that it does."""


class RecallingStoreSuite(SharedSessionStoreSuite):
    """The same, for stores with a `recall`; subclass it as `SharedSessionStoreSuite`, with a `reopen`."""

    def reopen(self, store: SessionStore) -> RecallingStore:
        """Return another handle to the storage of `store`; it is closed after use if it has a `close`."""
        raise NotImplementedError

    def test_nobody_recalls_what_was_never_seen(self, store: RecallingStore) -> None:
        """Neither a session that there is not, nor one that only another handle has seen."""
        other = self.reopen(store)
        session = full_session(fresh_session_id())
        assert store.recall(session.id) is None
        assert other.commit(session)
        assert store.recall(session.id) is None
        close(other)

    def test_session_that_stays_is_recalled(self, store: RecallingStore) -> None:
        """One that only this handle commits; otherwise every decision would pay for a load."""
        session = full_session(fresh_session_id())
        assert store.commit(session)
        for _ in range(CALLS):
            assert store.load(session.id) == session
            for _ in range(2):
                session = session.committed()
                assert store.commit(session)
        assert store.recall(session.id) == session

    def test_what_is_recalled_was_stored(self, store: RecallingStore) -> None:
        """Nothing that was refused, and nothing of another session."""
        session = full_session(fresh_session_id())
        assert store.commit(session)
        assert store.commit(replace(session, turn=1)) is False
        assert (store.recall(session.id) or session) == session
        assert store.load(session.id) == session

    def test_commit_of_what_others_have_overtaken_is_refused(self, store: RecallingStore) -> None:
        """Whatever is recalled: a commit of what was made of it is refused, and afterwards the truth is found."""
        other = self.reopen(store)
        session = full_session(fresh_session_id())
        assert store.commit(session)
        theirs = replace(session.committed(), turn=1)
        assert other.commit(theirs)
        assert (store.recall(session.id) or session) == session
        assert store.commit(replace(session.committed(), turn=2)) is False
        assert (store.recall(session.id) or theirs) == theirs, "it was just told that this one is stale"
        assert store.load(session.id) == theirs
        assert store.commit(theirs.committed())
        close(other)

    def test_session_that_roams_is_decided_from_what_is_stored(self, store: RecallingStore) -> None:
        """Two handles take turns; each change is made of the last one, whether it was recalled or loaded."""
        handles = [store, self.reopen(store)]
        session, turns = fresh_session_id(), 4 * CALLS
        for turn in range(1, turns + 1):
            handle = handles[turn * turn // 3 % 2]
            while True:
                before = handle.recall(session) or handle.load(session) or Session(id=session)
                if handle.commit(replace(before.committed(), turn=before.turn + 1)):
                    break
        assert [handle.load(session) for handle in handles] == [replace(Session(id=session), version=turns, turn=turns)] * 2
        close(handles[1])
