"""What sessions of one graph leave for one another, and what the flow does where the store takes or gives none of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_router import Clearance, Tag
from session_router.core.decision import Reason
from session_router.core.governance import PUBLIC, TOP, Level, join
from session_router.core.readings import FRESH, MOST_READINGS, Place, left_at, taken_up
from session_router.core.session import Reading, SessionId
from session_router.errors import NotHandedOn, StoreCorrupt, StoreUnavailable
from session_router.testing.sessions import tags
from values import FAST, SESSION, STRONG, FlakyStore, ai, call_of, human, router, spec, tool

if TYPE_CHECKING:
    from session_router.core.call import Call
    from session_router.router import Router

ROW = SessionId("aa" * 32)
OUTER = SessionId("bb" * 32)
SECRET = Tag(level=Level.CONFIDENTIAL)
GONE = StoreUnavailable("no answer")


def at(step: str = "1", task: str = "a", reader: str = "me", **fields: Any) -> Place:
    return Place(row=ROW, reader=reader, step=step, task=task, **fields)


def left(*places: Place, tag: Tag = SECRET) -> tuple[Reading, ...]:
    readings: tuple[Reading, ...] = ()
    for number, place in enumerate(places):
        readings = left_at(readings, place, tag, now=float(number)) or readings
    return readings


@pytest.mark.parametrize(
    ("place", "reached"),
    [
        (at("2", "x", "other"), True),
        (at("1", "a", "other"), True),  # the same task: its code may have copied
        (at("1", "x", "other"), False),  # another task of the same step
        (at("", "x", "other"), True),  # nobody knows the step
        (at("2", "x", "me", said=SECRET), False),
        (at("2", "x", "me"), True),  # the history says nothing of it
        (at("2", "x", "me", said=Tag(level=Level.INTERNAL)), True),
        (at("2", "x", "me", anew=True), True),
        (at("1", "a", "me", anew=True), True),
        (at("1", "x", "me", anew=True), False),
    ],
)
def test_who_is_reached(place: Place, reached: bool) -> None:
    assert taken_up(left(at()), place) == (SECRET if reached else PUBLIC)


def test_what_another_run_of_its_session_has_read_is_not_its_own() -> None:
    """Where it goes on from nothing but what it was asked, it has heard of nobody but others."""
    assert taken_up(left(at()), at("2", "x", "me", goes_on=True)) == PUBLIC
    assert taken_up(left(at("1", "a", "other")), at("2", "x", "me", goes_on=True)) == SECRET
    # In the same task, it may be what its own code has asked just before.
    assert taken_up(left(at()), at("1", "a", "me", goes_on=True)) == SECRET
    assert taken_up(left(at()), at("2", "a", "me", goes_on=True)) == PUBLIC


def test_where_the_step_was_not_known_everybody_is_reached() -> None:
    assert taken_up(left(at("", "")), at("1", "x", "other")) == SECRET


def test_what_says_nothing_new_is_not_written() -> None:
    readings = left(at())
    assert left_at(readings, at("2", "b"), SECRET, now=9.0) is None
    assert left_at(readings, at("2", "b"), PUBLIC, now=9.0) is None
    # Another task of the same step is not known by it.
    assert left_at(readings, at("1", "b"), SECRET, now=9.0) is not None


def test_one_place_has_one_reading() -> None:
    (reading,) = left_at(left(at()), at(), Tag(categories=frozenset({"pii"})), now=9.0) or ()
    assert reading.tag == join(SECRET, Tag(categories=frozenset({"pii"})))
    assert reading.at == 9.0


PLACES = st.builds(
    Place,
    row=st.just(ROW),
    reader=st.sampled_from(["r", "s", "t"]),
    step=st.sampled_from(["", "1", "2", "3"]),
    task=st.sampled_from(["a", "b"]),
    anew=st.booleans(),
)


FEW_TAGS = st.sampled_from([SECRET, Tag(level=Level.INTERNAL), Tag(no_train=True)]) | tags()


@given(st.lists(st.tuples(PLACES, FEW_TAGS), max_size=2 * MOST_READINGS), PLACES, st.booleans())
def test_nothing_is_lost_and_the_rest_is_bounded(told: list[tuple[Place, Tag]], listener: Place, later: bool) -> None:
    """Whoever must take something up takes it up, however much came after it. The steps of a graph only go on."""
    told.sort(key=lambda one: one[0].step)
    listener = replace(listener, step="4" if later or not told else told[-1][0].step)
    readings: tuple[Reading, ...] = ()
    for number, (place, tag) in enumerate(told):
        readings = left_at(readings, place, tag, now=float(number)) or readings
        assert len(readings) <= MOST_READINGS
    heard = taken_up(readings, listener)
    for place, tag in told:
        itself = place.reader == listener.reader and not listener.anew
        beside = bool(place.step) and place.step == listener.step and place.task != listener.task
        if not itself and not beside:
            assert join(heard, tag) == heard


def governed(store: FlakyStore) -> Router:
    return router(
        store=store,
        models={FAST: spec(1.0, clearance=Clearance()), STRONG: spec(10.0, clearance=Clearance(max_level=Level.CONFIDENTIAL))},
    )


def asked(*places: Place, tag: Tag = PUBLIC, **fields: Any) -> Call:
    return call_of(human(tag=tag), session=None, places=places, **fields)


def test_what_one_has_read_counts_for_the_next() -> None:
    subject = governed(FlakyStore())
    assert subject.route(asked(at(reader="first"), tag=SECRET)).model == STRONG
    second = subject.route(asked(at("2", "b", "second")))
    assert (second.model, second.tag) == (STRONG, SECRET)
    assert subject.route(asked(at("2", "b", "second", listens=False))).model == FAST
    assert subject.route(asked(Place(row=OUTER, reader="x"))).model == FAST


def test_what_is_public_is_not_written_and_what_is_not_governed_not_looked_up() -> None:
    store = FlakyStore()
    governed(store).route(asked(at()))
    assert store.commits == 0
    ungoverned = FlakyStore(on_load=[GONE])
    assert router(store=ungoverned).route(call_of(human(), session=None, places=(at(),))).evidence.degraded == ()


DOOR = SessionId("cc" * 32)


def door(reader: str = "me") -> Place:
    return Place(row=DOOR, reader=reader, door=True)


def test_what_came_in_from_outside_is_left_at_the_door_and_nothing_else() -> None:
    store = FlakyStore()
    subject = governed(store)
    subject.route(asked(at(reader="first"), tag=SECRET))
    told = subject.route(asked(at("2", "b", "second", outside=True), door("run 1")))
    assert (told.model, told.tag) == (STRONG, SECRET)
    # Whoever takes up the thread from elsewhere knows nothing of that graph.
    assert subject.route(asked(door("run 2"))).tag == SECRET
    # What is read in the thread itself is no news to it.
    subject.route(asked(door("run 2"), tag=Tag(level=Level.CONFIDENTIAL, categories=frozenset({"pii"}))))
    assert [one.reader for one in (store.load(DOOR) or fail()).readings] == ["run 1"]


def fail() -> Any:
    raise AssertionError


def test_what_a_caller_hands_down_is_left_at_the_door_even_where_nobody_may_see_it() -> None:
    secret = Tag(level=Level.RESTRICTED)
    subject = governed(FlakyStore())
    assert subject.route(asked(door("run 1"), inherited=secret)).refused
    assert subject.route(asked(door("run 2"))).refused


def test_a_door_that_cannot_be_looked_at_is_no_reason_to_refuse_and_one_that_is_broken_is() -> None:
    assert governed(FlakyStore(on_load=[GONE])).route(asked(door())).model == FAST
    assert governed(FlakyStore(on_load=[StoreCorrupt("broken")])).route(asked(door())).refused


def test_what_a_task_was_given_stands_in_for_readings_that_are_gone() -> None:
    store = FlakyStore()
    subject = governed(store)
    given_secret = at("2", "b", "second", recollect=lambda: SECRET)
    # It says what it is; what is left is also what its task was given.
    assert subject.route(asked(replace(given_secret, listens=False), tag=Tag(level=Level.INTERNAL))).tag == Tag(level=Level.INTERNAL)
    assert subject.route(asked(at("3", "c", "third"))).tag == SECRET
    assert governed(FlakyStore()).route(asked(given_secret)).tag == SECRET
    # Where something is known to have been read, that counts.
    known = governed(FlakyStore())
    known.route(asked(at("1", "a", "first"), tag=Tag(level=Level.INTERNAL)))
    assert known.route(asked(given_secret, tag=Tag(level=Level.INTERNAL))).tag == Tag(level=Level.INTERNAL)


def test_tasks_side_by_side_do_not_recollect_for_one_another() -> None:
    subject = governed(FlakyStore())
    subject.route(asked(at("1", "a", "first", recollect=lambda: SECRET)))
    assert subject.route(asked(at("1", "b", "second", recollect=lambda: PUBLIC))).tag == PUBLIC
    assert subject.route(asked(at("2", "c", "third"))).tag == SECRET


def test_what_is_read_again_is_kept_alive() -> None:
    """Stores forget what nobody has touched for long."""
    readings = left(at())
    assert left_at(readings, at("2", "a"), SECRET, now=FRESH - 1) is None
    (again,) = left_at(readings, at("2", "a"), SECRET, now=FRESH) or ()
    assert (again.at, replace(again, at=0.0)) == (FRESH, readings[0])
    assert left_at((), at(), PUBLIC, now=FRESH) is None


def test_what_cannot_be_loaded_is_unlabelled() -> None:
    decision = governed(FlakyStore(on_load=[GONE])).route(asked(at()))
    assert (decision.refused, decision.reason, decision.evidence.degraded) == (True, Reason.NOT_CLEARED, ("store",))


def test_what_cannot_be_left_is_not_sent() -> None:
    for way in ("sync", "async"):
        subject = governed(FlakyStore(on_commit=[GONE]))
        call = asked(at(), tag=SECRET)
        decision = subject.route(call) if way == "sync" else asyncio.run(subject.aroute(call))
        assert (decision.refused, decision.reason, decision.evidence.degraded) == (True, Reason.NOT_HANDED_ON, ("store",))
        with pytest.raises(NotHandedOn, match="confidential"):
            decision.chosen()


def test_what_no_model_has_read_is_left_as_well() -> None:
    store = FlakyStore()
    subject = governed(store)
    subject.hand_on([at()], SECRET)
    asyncio.run(subject.ahand_on([at()], Tag(level=Level.INTERNAL)))
    assert subject.route(asked(at("2", "b", "second"))).tag == SECRET
    store.on_load = [GONE]
    with pytest.raises(NotHandedOn):
        subject.hand_on([at()], SECRET)


def test_what_is_known_to_be_there_is_not_left_again() -> None:
    store = FlakyStore()
    subject = governed(store)
    subject.hand_on([at(left=SECRET)], Tag(level=Level.INTERNAL))
    assert store.commits == 0
    subject.hand_on([at(left=Tag(level=Level.INTERNAL))], SECRET)
    assert store.commits == 1


def test_what_was_left_before_is_told_whoever_left_it() -> None:
    store = FlakyStore()
    subject = governed(store)
    assert subject.left_before(at()) == PUBLIC
    subject.hand_on([at()], SECRET)
    assert subject.left_before(at()) == SECRET
    assert asyncio.run(subject.aleft_before(at("1", "x", "other"))) == SECRET
    store.on_load = [GONE, StoreCorrupt("no row")]
    with pytest.raises(StoreUnavailable, match="interrupted"):
        subject.left_before(at())
    assert subject.left_before(at()) == TOP


def test_a_withheld_label_is_left_as_well() -> None:
    store = FlakyStore()
    subject = governed(store)
    subject.route(asked(at(), withheld=SECRET))
    assert subject.route(asked(at("2", "b", "second"))).tag == SECRET


def test_what_was_refused_is_left_as_far_as_the_graph_has_it() -> None:
    """A human's words stand in the graph's state; what a tool returned is lost with the run that was refused."""
    restricted = Tag(level=Level.RESTRICTED)
    subject = governed(FlakyStore())
    refused = subject.route(call_of(human(tag=PUBLIC), ai("a"), tool("a", tag=restricted), session=None, places=(at(),)))
    assert refused.refused
    assert subject.route(asked(at("2", "b", "second"))).model == FAST
    assert subject.route(asked(at(), tag=restricted)).refused
    assert subject.route(asked(at("2", "b", "second"))).refused


def test_the_session_itself_bears_it() -> None:
    subject = governed(FlakyStore())
    subject.hand_on([at()], SECRET)
    decision = subject.route(call_of(human(tag=PUBLIC), session=SESSION, places=(at("2", "b", "second"),)))
    assert decision.session is not None
    assert decision.session.tag == SECRET
