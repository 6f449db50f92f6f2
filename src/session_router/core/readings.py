"""What sessions that run in one graph have read, and so what may stand in words that the graph's own code hands to another of them.

Nobody sees a graph's code copy words out of an answer: the copy bears no label. So each session leaves with the graphs around it the
label of what it has read, and a session whose request says nothing of itself takes up what was left where it could have come from.

A run may start another one in another thread. The graphs around that thread are around its sessions too, and what came in from there is
left at its door: whoever takes up the thread from elsewhere later finds it there.
"""

from __future__ import annotations

from dataclasses import field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from session_router.core.amending import amend
from session_router.core.effects import Failed, LoadSession
from session_router.core.eligibility import payload_tag
from session_router.core.governance import PUBLIC, join
from session_router.core.session import Reading, Session
from session_router.core.step import Role
from session_router.core.value import value
from session_router.errors import StoreCorrupt

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping, Sequence

    from session_router.core.call import Call
    from session_router.core.decision import Decision
    from session_router.core.effects import Effect
    from session_router.core.governance import Tag
    from session_router.core.model import ModelName, ModelSpec
    from session_router.core.policy import Policy
    from session_router.core.session import SessionId

NOTHING_KNOWN: Mapping[SessionId, Session] = MappingProxyType({})
"""No row was loaded."""

FRESH = 3_600.0
"""Seconds after which a row is written again though it says nothing new."""

MOST_READINGS = 16
"""Of one graph. Beyond, the two oldest become one that everybody takes up."""


@value
class Place:
    """Where a call stands in one of the graphs around its session.

    Attributes:
        row: Id under which the store keeps what was read in that graph.
        reader: Digest of who calls.
        step: Digest of the step of the graph that the call belongs to; empty for not known.
        task: Digest of its task in that step. Tasks of one step cannot have heard of one another.
        listens: Whether the request has words that say nothing of themselves.
        anew: Whether it goes on from nothing that it was told before: then they may be its own, and it takes up from itself as well.
        said: Label of all in the history that bears one. What its own reading bears beyond that, the history does not say: then it
            takes that up as well.
        request: What its answer is to bear of what it answers.
        goes_on: Whether it goes on from an answer to what it was asked, and nothing is new since but tools' results: what its own reading
            bears beyond what its history says, another run of it has read, or it has in this very task.
        outside: Whether the graph is around the thread that the call belongs to, and not in it.
        door: Whether the row is the thread's own, and nothing is left there but what came in from outside.
        left: What is known to have been left there before: it need not be left again.
        recollect: Returns the label of what the task was given, as it says itself; asked where nothing is known to have been read before,
            since a store may have lost it. `None` where that cannot be known.
    """

    row: SessionId
    reader: str
    step: str = ""
    task: str = ""
    listens: bool = True
    anew: bool = False
    said: Tag = PUBLIC
    request: str = ""
    goes_on: bool = False
    outside: bool = False
    door: bool = False
    left: Tag = PUBLIC
    recollect: Callable[[], Tag] | None = field(default=None, compare=False, repr=False)

    def recollected(self, row: Session | None) -> Tag:
        """Return what stands in for readings that are not there; public where some are, or there is nothing to say."""
        if self.recollect is None or (row is not None and any(_is_before(one, self) for one in row.readings)):
            return PUBLIC
        return self.recollect()


class Inherited(NamedTuple):
    """A call, with what it takes up from the graphs around it.

    Attributes:
        call: The call.
        known: Rows of graphs, as they were loaded.
        outside: Label of what came into its thread from outside; `None` for nothing.
    """

    call: Call
    known: Mapping[SessionId, Session]
    outside: Tag | None = None


def taken_up(readings: tuple[Reading, ...], place: Place) -> Tag:
    """Return the label of what may have come from `readings` to a call at `place`."""
    return join(*(one.tag for one in readings if _reaches(one, place)))


def _reaches(reading: Reading, place: Place) -> bool:
    if reading.reader != place.reader:
        return _is_before(reading, place)
    if place.goes_on:
        # In its own task, its own code may have asked before, and put what it heard into what tools had returned.
        return (reading.step, reading.task) == (place.step, place.task)
    return (place.anew or join(place.said, reading.tag) != place.said) and _is_before(reading, place)


def _is_before(reading: Reading, place: Place) -> bool:
    """Whether `reading` was left by somebody whom a call at `place` may have heard of."""
    return not (reading.step and reading.step == place.step and reading.task != place.task)


def left_at(readings: tuple[Reading, ...], place: Place, tag: Tag, *, now: float) -> tuple[Reading, ...] | None:
    """Return `readings` after a model was sent what bears `tag` from `place`; `None` where nobody could take up more than before."""
    own = [one for one in readings if one.reader == place.reader and (one.step != place.step or one.task == place.task)]
    before = join(*(one.tag for one in own))
    if join(before, tag) == before:
        return _kept_alive(readings, own, now=now)
    same = next((one for one in own if (one.step, one.task) == (place.step, place.task)), None)
    if same is not None:
        joined = replace(same, tag=join(same.tag, tag), at=max(same.at, now))
        return tuple(joined if one is same else one for one in readings)
    left = (*readings, Reading(reader=place.reader, step=place.step, task=place.task, tag=tag, at=now))
    if len(left) <= MOST_READINGS:
        return left
    first, second, *rest = left
    return (Reading(tag=join(first.tag, second.tag), at=max(first.at, second.at)), *rest)


def _kept_alive(readings: tuple[Reading, ...], own: Sequence[Reading], *, now: float) -> tuple[Reading, ...] | None:
    """Return `readings` as read again; `None` where that is known already. Stores forget what nobody has touched for long."""
    newest = max(readings, key=lambda one: one.at, default=None)
    if newest is None or not own or now - newest.at < FRESH:
        return None
    return tuple(replace(one, at=now) if one is own[-1] else one for one in readings)


def take_up(call: Call, specs: Mapping[ModelName, ModelSpec], policy: Policy, degraded: set[str]) -> Generator[Effect, Any, Inherited]:
    """Join to `call` what it takes up from the graphs around it; what cannot be loaded there is unlabelled."""
    known: dict[SessionId, Session] = {}
    if not any(place.listens for place in call.places) or payload_tag(call, specs, policy) is None:
        return Inherited(call, known, call.inherited)
    within, outside = list[Any](), list[Any]()
    for place in call.places:
        if not place.listens:
            continue
        loaded = yield LoadSession(place.row)
        tags = outside if place.outside else within
        if isinstance(loaded, Failed):
            if place.door and not isinstance(loaded.error, StoreCorrupt):
                # Threads into which nothing ever came from outside, and these are nearly all, go on without the store.
                continue
            degraded.add("store")
            tags.append(policy.unlabelled)
            continue
        tags.append(place.recollected(loaded))
        if loaded is not None:
            known[place.row] = loaded
            tags.append(taken_up(loaded.readings, place))
    before = () if call.inherited is None else (call.inherited,)
    tag, came_in = join(*within, *outside, *before), join(*outside, *before)
    return Inherited(call if tag == PUBLIC else replace(call, inherited=tag), known, None if came_in == PUBLIC else came_in)


def left_before(place: Place, policy: Policy) -> Generator[Effect, Any, Tag | None]:
    """Return the label of all that was left at `place`, by whomever and whenever; `None` where the store does not say."""
    loaded = yield LoadSession(place.row)
    if isinstance(loaded, Failed):
        return policy.unlabelled if isinstance(loaded.error, StoreCorrupt) else None
    return PUBLIC if loaded is None else join(*(one.tag for one in loaded.readings))


def label_to_leave(call: Call, decision: Decision) -> Tag | None:
    """Return the label of what may come out of `call` into the graphs around it.

    That is what is sent, or replayed, and what was withheld. Of what was refused no answer comes; but what the graph itself had put
    into the request, the graph still has.
    """
    tag = decision.tag
    if tag is None or decision.refused:
        steps = call.transcript.steps if tag is not None and call.places else ()
        given = [one for step in steps if step.role in {Role.HUMAN, Role.SYSTEM} for one in (step.tag, step.found) if one is not None]
        return join(*given) if given else None
    return tag if call.withheld is None else join(tag, call.withheld)


def leave(
    places: Iterable[Place],
    tag: Tag | None,
    *,
    now: float,
    known: Mapping[SessionId, Session] = NOTHING_KNOWN,
    outside: Tag | None = None,
) -> Generator[Effect, Any, bool]:
    """Leave with the graphs around a session the label of what is about to be sent, or came in.

    Args:
        places: Where in them it stands.
        tag: The label; `None` where governance is not in use.
        now: POSIX seconds.
        known: Rows that were loaded just now.
        outside: Label of what came into its thread from outside; `None` for nothing.

    Returns:
        Whether the store took it.
    """
    for place in places:
        left = outside if place.door else tag
        if left is None or join(place.left, left) == place.left:
            continue
        row = known.get(place.row)
        if row is not None and left_at(row.readings, place, left, now=now) is None:
            continue
        if not (yield from amend(place.row, _leaving(place, left, now))).available:
            return False
    return True


def _leaving(place: Place, tag: Tag, now: float) -> Any:  # noqa: ANN401 -- a function of what is stored
    def change(stored: Session | None) -> Session | None:
        row = stored or Session(id=place.row)
        left = left_at(row.readings, place, join(place.recollected(stored), tag), now=now)
        return None if left is None else replace(row, readings=left)

    return change
