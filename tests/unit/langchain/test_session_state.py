"""The sessions that travel in graphs' states."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from session_router.core.session import Session, SessionId
from session_router.testing.sessions import full_session, sessions
from session_router_langchain.session_state import KEPT_SESSIONS, STATE_KEY, CarriedSessions
from values import SESSION


def numbered(number: int) -> Session:
    return Session(id=SessionId(f"{number:064x}"), version=number)


@given(sessions())
def test_what_was_written_is_read_here_and_elsewhere(session: Session) -> None:
    here, elsewhere = CarriedSessions(), CarriedSessions()
    state = here.written(session)
    stored = json.loads(json.dumps(state))
    assert here.read(state) == here.read(stored) == elsewhere.read(stored) == session


def test_a_row_that_comes_back_as_it_went_out_is_not_read_again() -> None:
    carried, session = CarriedSessions(), full_session(SESSION)
    assert carried.read(copy.deepcopy(carried.written(session))) is session


def test_a_row_that_its_holder_changed_in_place_is_read_as_it_is() -> None:
    carried, session = CarriedSessions(), full_session(SESSION)
    state = carried.written(session)
    state[STATE_KEY]["version"] = 1_234
    assert carried.read(state) == replace(session, version=1_234)


def test_an_earlier_row_of_the_same_session_is_read_as_it_is() -> None:
    """A thread that is rewound, or forked."""
    carried, session = CarriedSessions(), full_session(SESSION)
    earlier = carried.written(session)
    carried.written(replace(session, version=session.version + 1))
    assert carried.read(earlier) == session


@pytest.mark.parametrize(("field", "value"), [("turn", -1), ("id", ["a"]), ("id", "0" * 63), ("schema", 99), ("account", {})])
def test_a_row_that_was_spoilt_is_lost(field: str, value: Any, caplog: pytest.LogCaptureFixture) -> None:
    carried = CarriedSessions()
    state = copy.deepcopy(carried.written(full_session(SESSION)))
    state[STATE_KEY][field] = value
    assert carried.read(state) is None
    assert "not readable" in caplog.text


@pytest.mark.parametrize("nothing", [{}, {STATE_KEY: {}}, {STATE_KEY: None}, {STATE_KEY: "text"}])
def test_a_state_without_a_session_has_none(nothing: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    assert CarriedSessions().read(nothing) is None
    assert not caplog.text


def test_only_the_last_ones_are_kept_and_all_are_read() -> None:
    carried = CarriedSessions()
    states = [copy.deepcopy(carried.written(numbered(number))) for number in range(KEPT_SESSIONS + 9)]
    assert len(carried) == KEPT_SESSIONS
    assert [carried.read(state) for state in states] == [numbered(number) for number in range(KEPT_SESSIONS + 9)]
