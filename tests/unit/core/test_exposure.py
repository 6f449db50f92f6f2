"""What providers may still hold: under which label, until when, and by which ids."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_router.core.exposure import (
    MOST_EXPOSURES,
    MOST_IDS,
    Exposure,
    Held,
    exposed,
    id_of,
    kept_as,
    label_held,
    left_elsewhere,
)
from session_router.core.governance import PUBLIC, Clearance, Level, Tag, join
from session_router.core.model import ModelName
from session_router.testing.strategies import tags

FAST, STRONG = ModelName("fast"), ModelName("strong")
INTERNAL, SECRET = Tag(level=Level.INTERNAL), Tag(level=Level.CONFIDENTIAL)
MINUTE, UNKNOWN, NOTHING = (Clearance(retention_seconds=seconds) for seconds in (60.0, None, 0.0))


def test_what_was_sent_is_held_until_its_retention_ends() -> None:
    (one,) = held = exposed((), model=FAST, tag=SECRET, clearance=MINUTE, now=10.0)
    assert (one.model, one.tag, one.until) == (FAST, SECRET, 70.0)
    later = exposed(held, model=STRONG, tag=SECRET, clearance=MINUTE, now=69.9)
    assert [one.model for one in later] == [FAST, STRONG]
    assert [one.model for one in exposed(held, model=STRONG, tag=SECRET, clearance=MINUTE, now=70.0)] == [STRONG]


def test_what_is_sent_again_is_held_for_longer() -> None:
    held = exposed((), model=FAST, tag=SECRET, clearance=MINUTE, now=10.0)
    (one,) = exposed(held, model=FAST, tag=SECRET, clearance=MINUTE, now=30.0)
    assert one.until == 90.0
    (one,) = exposed(held, model=FAST, tag=SECRET, clearance=UNKNOWN, now=30.0)
    assert one.until is None
    assert not one.is_over(1e12)


@pytest.mark.parametrize("clearance", [None, UNKNOWN, Clearance(retention_seconds=float("inf")), Clearance(retention_seconds=1e300)])
def test_nobody_knows_the_end_of_what_is_not_stated(clearance: Clearance | None) -> None:
    (one,) = exposed((), model=FAST, tag=SECRET, clearance=clearance, now=10.0)
    assert one.until is None


def test_who_keeps_nothing_holds_nothing() -> None:
    assert exposed((), model=FAST, tag=SECRET, clearance=NOTHING, now=10.0) == ()
    assert kept_as((), ["a"], model=FAST, tag=SECRET, sent=True) == ()


def test_an_answer_s_id_leads_to_the_label_of_all_that_stands_behind_it() -> None:
    first = kept_as(exposed((), model=FAST, tag=INTERNAL, clearance=UNKNOWN, now=0.0), ["a"], model=FAST, tag=INTERNAL, sent=True)
    held = exposed(first, model=FAST, tag=SECRET, clearance=UNKNOWN, now=1.0, held=[Held("a")])
    held = kept_as(held, ["b"], model=FAST, tag=SECRET, sent=True)
    assert [label_held(held, one) for one in ("a", "b", "c")] == [INTERNAL, SECRET, None]


def test_what_is_sent_into_a_conversation_stays_in_it() -> None:
    held = exposed((), model=FAST, tag=INTERNAL, clearance=UNKNOWN, now=0.0, held=[Held("c", grows=True)])
    held = exposed(held, model=FAST, tag=SECRET, clearance=UNKNOWN, now=1.0, held=[Held("c", grows=True)])
    assert label_held(held, "c") == join(INTERNAL, SECRET)


def test_an_answer_of_somebody_else_is_held_nobody_knows_for_how_long() -> None:
    held = exposed((), model=FAST, tag=SECRET, clearance=MINUTE, now=0.0)
    *_, other = kept_as(held, ["a"], model=STRONG, tag=SECRET, sent=False)
    assert (other.model, other.until, other.ids) == (STRONG, None, ("a",))


def test_what_is_over_is_not_known_any_more() -> None:
    held = kept_as(exposed((), model=FAST, tag=INTERNAL, clearance=MINUTE, now=0.0), ["a"], model=FAST, tag=INTERNAL, sent=True)
    assert label_held(exposed(held, model=STRONG, tag=INTERNAL, clearance=UNKNOWN, now=61.0), "a") is None


def test_what_is_left_elsewhere_leaves_out_what_is_public_or_over() -> None:
    held = tuple(
        Exposure(model=model, tag=tag, until=until)
        for model, tag, until in [(FAST, SECRET, 9.0), (STRONG, SECRET, 9.0), (STRONG, PUBLIC, 9.0), (STRONG, INTERNAL, 5.0)]
    )
    assert left_elsewhere(held, model=FAST, now=5.0) == (held[1],)
    assert left_elsewhere(held, model=None, now=float("nan")) == (held[0], held[1], held[3])


@given(st.lists(st.tuples(st.sampled_from([FAST, STRONG]), tags(), st.none() | st.integers(1, 5)), max_size=60))
def test_however_much_is_sent_it_stays_bounded_and_no_label_is_lost(sent: list[tuple[ModelName, Tag, int | None]]) -> None:
    held: tuple[Exposure, ...] = ()
    for at, (model, tag, seconds) in enumerate(sent):
        clearance = Clearance(retention_seconds=None if seconds is None else 1e6 * seconds)
        held = exposed(held, model=model, tag=tag, clearance=clearance, now=float(at))
        held = kept_as(held, [id_of(str(at))], model=model, tag=tag, sent=True)
    assert len(held) <= MOST_EXPOSURES
    assert all(len(one.ids) <= MOST_IDS for one in held)
    for model in (FAST, STRONG):
        assert join(*(tag for name, tag, _ in sent if name == model)) == join(*(one.tag for one in held if one.model == model))
    for at, (_, tag, _) in enumerate(sent):
        found = label_held(held, id_of(str(at)))
        # Forgotten, or at least what it was.
        assert found is None or join(found, tag) == found
