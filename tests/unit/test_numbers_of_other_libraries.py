"""Numbers come from arrays and tables too; what is kept of them is Python's own, which every writer takes."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ormsgpack import packb

from session_router import Feedback, ModelSpec, Policy, Prices
from session_router.core.need import Alarm, Need
from session_router.core.session import SessionId
from session_router.core.session_row import session_from_plain, session_to_plain
from session_router.errors import StoreCorrupt
from session_router.router import Router
from session_router.stores.memory import MemorySessionStore
from session_router.stores.redis_rows import RedisRows, new_fence
from session_router.testing.sessions import full_session
from support.talk import Says, Talk
from values import FAST, STRONG, tool

NUMBERS = (np.float64, np.float32, np.float16)
WIDE = (np.float64,)
"""Those that Python takes for its own."""


def of(value: Any, *names: str) -> list[type]:
    return [type(getattr(value, name)) for name in names]


@pytest.mark.parametrize("kind", NUMBERS)
def test_a_need_holds_pythons_own(kind: Any) -> None:
    need = Need(p_success=kind(0.75), low=kind(0.5), high=kind(1.0))
    assert of(need, "p_success", "low", "high") == [float] * 3
    assert need == Need(p_success=0.75, low=0.5)


@pytest.mark.parametrize("kind", WIDE)
def test_so_do_feedback_alarms_and_prices(kind: Any) -> None:
    assert of(Feedback(success=kind(0.5), weight=kind(0.25)), "success", "weight") == [float] * 2
    assert of(Alarm(window="first half", jump=kind(0.5), limit=kind(0.25)), "jump", "limit") == [float] * 2
    prices = Prices(input=kind(1), output=kind(2), cached_input=kind(0.5), cache_write=kind(1.25))
    assert of(prices, "input", "output", "cached_input", "cache_write") == [float] * 4
    assert [type(one) for one in prices.read] == [float] * 2


def test_a_row_that_no_reader_takes_is_written_all_the_same() -> None:
    """What cannot be is refused where it is read, as one row that is lost."""
    rows, one = RedisRows(b"k" * 32), full_session(SessionId("5e" * 32))
    for at in (math.nan, np.float64("inf"), np.float64(1.5)):
        row = rows.encode(replace(one, readings=(replace(one.readings[0], at=at),)), new_fence())
        if at == 1.5:
            assert rows.decode(one.id, row).readings[0].at == 1.5
        else:
            with pytest.raises(StoreCorrupt):
                rows.decode(one.id, row)
    with pytest.raises(StoreCorrupt):
        rows.decode(one.id, rows.encode(replace(one, tag=None, turn=10**5000), new_fence()))


@pytest.mark.parametrize("kind", NUMBERS)
def test_a_session_of_such_scores_is_kept(kind: Any) -> None:
    store = MemorySessionStore()
    priced = {
        name: ModelSpec(model=f"sim:{name}", prices=Prices(input=np.float64(dollars), output=np.float64(4 * dollars)))
        for name, dollars in ((FAST, 1.0), (STRONG, 10.0))
    }
    router = Router(
        priced, scorer=Says({FAST: kind(0.5), STRONG: kind(0.75)}), policy=Policy(stake=np.float64(0.02)), store=store, key=b"k" * 32
    )
    talk = Talk(router)
    for _ in range(3):
        decision = talk.asked()
        talk.answered(decision, "call")
        router.feedback(decision.to_plain(), Feedback(success=np.float64(0.25), weight=np.float64(0.5)))
        talk.steps.append(tool("call"))
        talk.answered(talk.again())
    plain = session_to_plain(talk.stored)
    assert packb(plain)
    assert json.loads(json.dumps(plain)) == plain
    assert session_from_plain(plain) == talk.stored
    assert packb(decision.to_plain())
