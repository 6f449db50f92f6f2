"""Feedback changes what is believed at once, and who answers at boundaries only."""

from __future__ import annotations

from collections import Counter
from itertools import count
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from session_router import Feedback, Policy
from session_router.core import flow
from session_router.core.feedback import FeedbackKind, Heard
from session_router.router import Router
from session_router.stores.memory import MemorySessionStore
from support.talk import Says, Talk
from values import FAST, STRONG, specs, tool

if TYPE_CHECKING:
    import pytest

    from session_router.core.account import Account
    from session_router.core.boundary import Lock
    from session_router.core.call import Call
    from session_router.core.decision import Decision
    from session_router.core.session import Session

SAID = st.builds(
    Feedback, success=st.sampled_from((0.0, 0.25, 1.0)), weight=st.sampled_from((0.3, 1.0)), kind=st.sampled_from(FeedbackKind)
)
TURNS = st.lists(st.lists(st.lists(SAID, max_size=3), min_size=1, max_size=5), min_size=1, max_size=5)
"""Turns of calls, and what is said after each of them."""
OURS = settings(max_examples=150, deadline=None, derandomize=True, database=None)


def router(store: MemorySessionStore | None = None) -> Router:
    return Router(specs(), scorer=Says({FAST: 0.8, STRONG: 0.85}), policy=Policy(stake=0.02), store=store, key=b"k" * 32)


def account_of(talk: Talk) -> Account:
    account = talk.stored.account
    assert account is not None
    return account


def play(turns: list[list[list[Feedback]]], met: Counter[str], *, told: bool = True, alone: bool = False) -> list[Decision]:
    """Play a session on two replicas, or `alone` on one: calls are routed on either, and commented on at either.

    Returns:
        The decisions, as they were made.
    """
    store, names = MemorySessionStore(), count()
    one, other = router(store), router(store)
    replicas = [one, one if alone else other]
    talk, made = Talk(one), []
    for turn in turns:
        talk.says()
        asker = None
        for at, said in enumerate(turn):
            talk.router = replicas[len(made) // 2 % 2]
            decision = talk.again()
            made.append(decision)
            met["calls in a loop"] += asker is not None
            met["moves in a loop"] += asker is not None and decision.model != asker
            asker = decision.model
            name = f"call {next(names)}"
            talk.answered(decision, *([name] if at < len(turn) - 1 else []))
            for feedback in said if told else []:
                before = account_of(talk)
                heard = replicas[at % 2].feedback(decision.to_plain(), feedback)
                met[heard] += 1
                met["beliefs"] += account_of(talk).beliefs != before.beliefs
                # Nothing else of the session moves, the lock least of all.
                assert account_of(talk).segment == before.segment
            if at < len(turn) - 1:
                talk.now += 1.0
                talk.steps.append(tool(name))
    return made


def test_under_a_lock_it_is_learned_and_moves_nobody() -> None:
    met = Counter[str]()

    @OURS
    @given(TURNS)
    def law(turns: list[list[list[Feedback]]]) -> None:
        told, untold = play(turns, met), play(turns, Counter(), told=False)
        boundaries = [(one, other) for one, other in zip(told, untold, strict=True) if one.lock is None]
        met["boundaries moved"] += sum(one.model != other.model for one, other in boundaries)

    law()
    assert met["moves in a loop"] == 0
    assert met["beliefs"] == met[Heard.LEARNED]
    assert min(met["calls in a loop"], met[Heard.LEARNED], met["boundaries moved"]) >= 10, met


def test_a_router_that_acts_at_once_moves_in_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    """The broken variant of the law above: it looks at beliefs wherever it is told of them."""
    met, find = Counter[str](), flow.lock_in

    def forgets_the_lock_when_told(call: Call, session: Session | None) -> Lock | None:
        account = None if session is None else session.account
        return None if account is not None and account.marks else find(call, session)

    monkeypatch.setattr(flow, "lock_in", forgets_the_lock_when_told)

    @OURS
    @given(TURNS)
    def law(turns: list[list[list[Feedback]]]) -> None:
        play(turns, met)

    law()
    assert met["moves in a loop"] > 0


def test_whichever_replica_routes_and_hears_the_decisions_are_the_same() -> None:
    met = Counter[str]()

    @OURS
    @given(TURNS)
    def law(turns: list[list[list[Feedback]]]) -> None:
        assert play(turns, met) == play(turns, Counter(), alone=True)

    law()
    assert min(met[Heard.LEARNED], met[Heard.REPEATED]) >= 5, met
