"""A session store beside its reference model, a dictionary, as a Hypothesis state machine."""

# ruff: noqa: S101 -- a law is asserted

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from session_router.core.session import Session
from session_router.testing.sessions import fresh_session_id, sessions

if TYPE_CHECKING:
    import asyncio

    from session_router.core.session import SessionId
    from session_router.ports import SessionStore

SESSIONS = 3
_NUMBERS = st.integers(min_value=0, max_value=SESSIONS - 1)


def session_store_machine(store: SessionStore, runner: asyncio.Runner) -> type[RuleBasedStateMachine]:
    """Return a machine that drives `store`, sync and, on `runner`, async."""

    class SessionStoreMachine(RuleBasedStateMachine):
        """Commits of every kind of version; afterwards the store holds what the dictionary holds."""

        def __init__(self) -> None:
            super().__init__()
            self.ids: list[SessionId] = []
            self.model: dict[SessionId, Session] = {}

        @initialize()
        def begin(self) -> None:
            """Take sessions that no other run has touched."""
            self.ids = [fresh_session_id() for _ in range(SESSIONS)]

        @rule(number=_NUMBERS, content=sessions(), step=st.sampled_from([1, 1, 1, 0, -1, 2]), is_async=st.booleans())
        def commit(self, number: int, content: Session, step: int, is_async: bool) -> None:  # noqa: FBT001 -- Hypothesis calls it by keyword
            """Commit `step` versions after the stored one; only one step is right."""
            session = self.ids[number]
            stored = self.model.get(session)
            version = (0 if stored is None else stored.version) + step
            proposal = replace(content, id=session, version=version)
            accepted = runner.run(store.acommit(proposal)) if is_async else store.commit(proposal)
            assert accepted is (step == 1), f"commit of version {version} on {stored!r} gave {accepted!r}"
            if accepted:
                self.model[session] = proposal

        @rule(number=_NUMBERS)
        def load(self, number: int) -> None:
            """Load without blocking."""
            session = self.ids[number]
            assert runner.run(store.aload(session)) == self.model.get(session)

        @invariant()
        def holds_what_the_dictionary_holds(self) -> None:
            """No commit touches another session."""
            for session in self.ids:
                assert store.load(session) == self.model.get(session)

    return SessionStoreMachine
