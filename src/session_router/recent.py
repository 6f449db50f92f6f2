"""What a router remembers of its last decisions, so that feedback may name one by its id."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, Any, cast

from session_router.core.boundary_choice import BoundaryChoice
from session_router.core.cached import CacheHit
from session_router.core.checking import check_kind
from session_router.core.decision import Decision
from session_router.errors import UnknownDecision

if TYPE_CHECKING:
    from session_router.core.call import Outcome

CAPACITY = 10_000
"""Decisions that are remembered. Of each, ids, a model's name and a number: a few hundred bytes."""

_RULE = "give a `Decision`, its row, the facts that its answer carries, or its id."


class RecentDecisions:
    """The last decisions of one process, by id; the least recently used goes first. Safe to use from many threads.

    Args:
        capacity: How many.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._choices: OrderedDict[str, BoundaryChoice | CacheHit | None] = OrderedDict()
        self._guard = Lock()

    def decided(self, decision: Decision) -> None:
        """Remember `decision`."""
        with self._guard:
            self._choices[decision.id] = decision.boundary if decision.hit is None else _without_answer(decision.hit)
            self._choices.move_to_end(decision.id)
            if len(self._choices) > self._capacity:
                self._choices.popitem(last=False)

    def answered(self, decision: Decision, outcome: Outcome) -> None:
        """Remember that another model than the chosen one answered: what is said of the answer says nothing of the chosen one."""
        if outcome.error is not None or outcome.model == decision.model:
            return
        with self._guard:
            if decision.id in self._choices:
                self._choices[decision.id] = None

    def found(self, decision: Decision | Mapping[str, Any] | str) -> tuple[str, BoundaryChoice | CacheHit | None]:
        """Return the id of `decision`, and the choice, or the stored answer, that feedback on it is about, if there is one.

        Args:
            decision: As a value, as plain values, or as an id.

        Raises:
            UnknownDecision: It is an id, and not remembered.
            ConfigurationError: It is nothing of the kind.
        """
        check_kind(decision, (Decision, Mapping, str), key="decision", rule=_RULE)
        name = _id_of(decision)
        with self._guard:
            if name in self._choices:
                self._choices.move_to_end(name)
                return name, self._choices[name]
        if isinstance(decision, str):
            raise UnknownDecision(decision=decision)
        if isinstance(decision, Decision):
            return name, decision.boundary if decision.hit is None else decision.hit
        return name, _told_by(decision)


def _without_answer(hit: CacheHit) -> CacheHit:
    return replace(hit, answer=replace(hit.answer, content=""))


def _told_by(plain: Mapping[str, Any]) -> BoundaryChoice | CacheHit | None:
    """Read what feedback is about out of a decision's row, or of the facts of an answer."""
    evidence: object = plain.get("evidence")
    found: object = cast("Mapping[str, Any]", evidence).get("cache") if isinstance(evidence, Mapping) else plain.get("cache")
    if isinstance(found, Mapping) and "hit" in found:
        return CacheHit.from_plain(cast("Mapping[str, Any]", found))
    boundary = plain.get("boundary")
    return None if boundary is None else BoundaryChoice.from_plain(boundary)


def _id_of(decision: Decision | Mapping[str, Any] | str) -> str:
    if isinstance(decision, Decision):
        return decision.id
    name: object = decision if isinstance(decision, str) else decision.get("decision_id")
    check_kind(name, str, key="decision.decision_id", rule=_RULE)
    return cast("str", name)
