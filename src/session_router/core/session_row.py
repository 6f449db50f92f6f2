"""A session as plain values, at rest and in a graph's state."""

from __future__ import annotations

import re
from math import inf
from typing import TYPE_CHECKING, Any, cast

from session_router.core.account import REMEMBERED_MARKS, new_account
from session_router.core.belief import LARGEST_SHIFT, PRIOR_VARIANCE, Belief
from session_router.core.boundary import LockKind, new_lock
from session_router.core.checking import LARGEST_COUNT
from session_router.core.drift import new_drift
from session_router.core.exposure import MOST_EXPOSURES, MOST_IDS, Exposure
from session_router.core.label_row import tag_of, tag_to_plain
from session_router.core.ledger import Ledger
from session_router.core.model import ModelName
from session_router.core.plain import text_in
from session_router.core.pricing import USD
from session_router.core.readings import MOST_READINGS
from session_router.core.segment import new_habits, new_segment
from session_router.core.session import Reading, SessionId, new_before, new_session, new_visit
from session_router.core.upgrades import Upgrades
from session_router.errors import StoreCorrupt

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from session_router.core.account import Account
    from session_router.core.segment import Segment
    from session_router.core.session import Before, Session, Visit

SCHEMA = 6
"""Version of the plain form. Raise it when a field changes its meaning; readers refuse what they do not know."""


_SESSION_ID = re.compile("[0-9a-f]{64}")
_MARK = re.compile("[0-9a-f]{16}")


def session_to_plain(session: Session) -> dict[str, Any]:
    """Return `session` as JSON-ready values."""
    lock = session.lock
    return {
        "schema": SCHEMA,
        "id": session.id,
        "version": session.version,
        "current": session.current,
        "lock": None if lock is None else {"kind": lock.kind.value, "model": lock.model, "waiting_for": list(lock.waiting_for)},
        "closed": None if session.closed is None else session.closed.hex(),
        "visits": {name: _visit_to_plain(visit) for name, visit in session.visits.items()},
        "turn": session.turn,
        "call": session.call,
        "switches": session.switches,
        "switched_at": session.switched_at,
        "account": None if session.account is None else _account_to_plain(session.account),
        "tag": None if session.tag is None else tag_to_plain(session.tag),
        "exposures": [[one.model, tag_to_plain(one.tag), one.until, list(one.ids)] for one in session.exposures],
        "before": None if session.before is None else _before_to_plain(session.before),
        "readings": [[tag_to_plain(one.tag), one.at, one.reader, one.step, one.task] for one in session.readings],
    }


def session_from_plain(plain: Mapping[str, Any]) -> Session:
    """Read back what `session_to_plain` wrote.

    Raises:
        StoreCorrupt: It is not a session of a known schema.
    """
    try:
        schema = plain["schema"]
        if schema != SCHEMA:
            found = f"schema {schema}" if isinstance(schema, int) and abs(schema) <= LARGEST_COUNT else "no schema that is a number"
            msg = f"session row has {found}, this release reads {SCHEMA}; it is treated as lost."
            raise StoreCorrupt(msg)
        return _read(plain)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        # Without what was found there: it can be nested too deep, or be too long, to be shown.
        msg = f"session row does not have the shape of schema {SCHEMA} ({type(error).__name__}); it is treated as lost."
        raise StoreCorrupt(msg) from error


def _read(plain: Mapping[str, Any]) -> Session:
    lock = plain["lock"]
    return new_session(
        id=_session_id(plain["id"]),
        version=_count(plain["version"]),
        current=None if plain["current"] is None else ModelName(text_in(plain["current"])),
        lock=None
        if lock is None
        else new_lock(
            kind=LockKind(text_in(lock["kind"])),
            model=None if lock["model"] is None else text_in(lock["model"]),
            waiting_for=tuple(map(text_in, lock["waiting_for"])),
        ),
        closed=None if plain["closed"] is None else bytes.fromhex(plain["closed"]),
        visits={ModelName(text_in(name)): _visit(visit) for name, visit in plain["visits"].items()},
        turn=_count(plain["turn"]),
        call=_count(plain["call"]),
        switches=_count(plain["switches"]),
        switched_at=None if plain["switched_at"] is None else _count(plain["switched_at"]),
        account=None if plain["account"] is None else _account(plain["account"]),
        # What cannot be read is top: it forbids.
        tag=None if plain["tag"] is None else tag_of(plain["tag"]),
        exposures=_exposures(plain["exposures"]),
        before=None if plain["before"] is None else _before(plain["before"]),
        readings=_readings(plain["readings"]),
    )


def _readings(plain: Sequence[Any]) -> tuple[Reading, ...]:
    if len(plain) > MOST_READINGS:
        msg = "readings are not many"
        raise ValueError(msg)
    return tuple(_reading(*one) for one in plain)


def _reading(tag: object, at: object, *digests: object) -> Reading:
    reader, step, task = map(text_in, digests)
    if not all(one == "" or _MARK.fullmatch(one) for one in (reader, step, task)):
        msg = "a reading's digests have 16 hex digits"
        raise ValueError(msg)
    return Reading(tag=tag_of(tag), at=_number(at), reader=reader, step=step, task=task)


def _exposures(plain: Sequence[Any]) -> tuple[Exposure, ...]:
    if len(plain) > MOST_EXPOSURES:
        msg = "exposures are not many"
        raise ValueError(msg)
    return tuple(_exposure(*one) for one in plain)


def _exposure(model: object, tag: object, until: object, ids: Sequence[object]) -> Exposure:
    names = tuple(map(text_in, ids))
    if len(names) > MOST_IDS or not all(_MARK.fullmatch(name) for name in names):
        msg = "ids of what a provider keeps have 16 hex digits, and are not many"
        raise ValueError(msg)
    return Exposure(model=ModelName(text_in(model)), tag=tag_of(tag), until=None if until is None else _number(until), ids=names)


def _before_to_plain(before: Before) -> dict[str, Any]:
    return {
        "account": _account_to_plain(before.account),
        "current": before.current,
        "switches": before.switches,
        "switched_at": before.switched_at,
        "model": before.model,
        "visit": None if before.visit is None else _visit_to_plain(before.visit),
    }


def _before(plain: Mapping[str, Any]) -> Before:
    return new_before(
        account=_account(plain["account"]),
        current=None if plain["current"] is None else ModelName(text_in(plain["current"])),
        switches=_count(plain["switches"]),
        switched_at=None if plain["switched_at"] is None else _count(plain["switched_at"]),
        model=ModelName(text_in(plain["model"])),
        visit=None if plain["visit"] is None else _visit(plain["visit"]),
    )


def _visit_to_plain(visit: Visit) -> list[Any]:
    return [visit.steps, visit.digest.hex(), visit.tokens, visit.at, visit.scale, visit.held]


def _visit(plain: Sequence[Any]) -> Visit:
    steps, digest, tokens, at, scale, held = plain
    return new_visit(
        steps=_count(steps),
        digest=bytes.fromhex(digest),
        tokens=_count(tokens),
        at=_number(at),
        scale=_number(scale, above=0.0),
        held=_number(held, low=0.0, high=1.0),
    )


def _account_to_plain(account: Account) -> dict[str, Any]:
    habits, drift, segment = account.habits, account.drift, account.segment
    return {
        "habits": [
            habits.weight,
            habits.growth_weight,
            habits.between_weight,
            habits.calls,
            habits.pairs,
            habits.growth,
            habits.output,
            habits.between,
            habits.further,
            habits.surprise,
        ],
        "drift": [drift.weight, drift.variance, drift.covariance, dict(drift.chances), dict(drift.last)],
        "number": account.number,
        "segment": None
        if segment is None
        else [
            segment.start,
            segment.opening.hex(),
            segment.model,
            segment.first_tokens,
            segment.last_tokens,
            segment.calls,
            segment.output,
            segment.counted,
            segment.predicted_calls,
            segment.p_success,
        ],
        "ledger": None if account.ledger is None else account.ledger.to_plain(),
        "work": dict(account.work),
        "quiet": account.quiet,
        "explored": account.explored,
        "beliefs": {name: [belief.shift, belief.variance] for name, belief in account.beliefs.items()},
        "marks": list(account.marks),
        "upgrades": [account.upgrades.evidence, account.upgrades.capped, account.upgrades.at],
    }


def _account(plain: Mapping[str, Any]) -> Account:
    weight, growth_weight, between_weight, calls, pairs, growth, output, between, further, surprise = _amounts(plain["habits"])
    habits = new_habits(
        weight=weight,
        growth_weight=growth_weight,
        between_weight=between_weight,
        calls=_number(calls, low=1.0),
        pairs=pairs,
        growth=growth,
        output=output,
        between=between,
        further=further,
        surprise=surprise,
    )
    weight, variance, covariance, chances, last = plain["drift"]
    weight, variance = _amounts((weight, variance))
    if not last.keys() <= chances.keys():
        msg = "a deviation is from a mean that is there"
        raise ValueError(msg)
    drift = new_drift(
        weight=weight,
        last={ModelName(text_in(name)): _number(deviation, low=-1.0, high=1.0) for name, deviation in last.items()},
        variance=variance,
        covariance=_number(covariance),
        chances=_amounts_by_model(chances, high=1.0),
    )
    return new_account(
        habits=habits,
        drift=drift,
        number=_count(plain["number"]),
        segment=None if plain["segment"] is None else _segment(plain["segment"]),
        ledger=None if plain["ledger"] is None else _ledger(plain["ledger"]),
        work=cast("dict[ModelName, USD]", _amounts_by_model(plain["work"])),
        quiet=_count(plain["quiet"]),
        explored=USD(_number(plain["explored"], low=0.0)),
        beliefs={ModelName(text_in(name)): _belief(belief) for name, belief in plain["beliefs"].items()},
        marks=_marks(plain["marks"]),
        upgrades=_upgrades(plain["upgrades"]),
    )


def _upgrades(plain: Sequence[object]) -> Upgrades:
    evidence, capped, at = plain
    return Upgrades(evidence=_number(evidence, low=0.0), capped=_count(capped), at=_number(at))


def _belief(plain: Sequence[object]) -> Belief:
    shift, variance = plain
    return Belief(shift=_number(shift, low=-LARGEST_SHIFT, high=LARGEST_SHIFT), variance=_number(variance, above=0.0, high=PRIOR_VARIANCE))


def _marks(plain: Sequence[object]) -> tuple[str, ...]:
    marks = tuple(map(text_in, plain))
    if len(marks) > REMEMBERED_MARKS or not all(_MARK.fullmatch(mark) for mark in marks):
        msg = "marks of feedback have 16 hex digits, and are not many"
        raise ValueError(msg)
    return marks


def _ledger(plain: object) -> Ledger:
    ledger = Ledger.from_plain(plain)
    _amounts((ledger.spent, ledger.unmoved))
    return ledger


def _segment(plain: Sequence[object]) -> Segment:
    start, opening, model, first, last, calls, output, counted, predicted, p_success = plain
    return new_segment(
        start=_count(start),
        opening=bytes.fromhex(text_in(opening)),
        model=None if model is None else ModelName(text_in(model)),
        first_tokens=_count(first),
        last_tokens=_count(last),
        calls=_positive(calls),
        output=_count(output),
        counted=_count(counted),
        predicted_calls=_number(predicted, low=1.0),
        p_success=None if p_success is None else _number(p_success, low=0.0, high=1.0),
    )


def _session_id(value: object) -> SessionId:
    text = text_in(value)
    if not _SESSION_ID.fullmatch(text):
        msg = "a session's id has 64 hex digits"
        raise ValueError(msg)
    return SessionId(text)


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        msg = f"found {type(value).__name__} where a count belongs"
        raise TypeError(msg)
    if not 0 <= value <= LARGEST_COUNT:
        msg = "a count is 0 or more, and below 2**53"
        raise ValueError(msg)
    return value


def _positive(value: object) -> int:
    count = _count(value)
    if count == 0:
        msg = "a segment has one call or more"
        raise ValueError(msg)
    return count


def _number(value: object, *, low: float = -LARGEST_COUNT, high: float = LARGEST_COUNT, above: float = -inf) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high or value <= above:
        msg = f"found {type(value).__name__} where a number of a certain range belongs"
        raise ValueError(msg)
    return value


def _amounts(values: Iterable[object], *, high: float = LARGEST_COUNT) -> list[float]:
    # In one loop: this runs at every call of a session that travels with its graph's state.
    amounts: list[float] = []
    for value in values:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= high:
            msg = f"found {type(value).__name__} where amounts, 0 or more, belong"
            raise ValueError(msg)
        amounts.append(value)
    return amounts


def _amounts_by_model(plain: Mapping[object, object], *, high: float = LARGEST_COUNT) -> dict[ModelName, float]:
    return {ModelName(text_in(name)): amount for name, amount in zip(plain, _amounts(plain.values(), high=high), strict=True)}
