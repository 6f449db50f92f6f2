"""What this process knows of its models' health, and what it tells and hears from the other replicas.

Every method that talks to them is a generator of effects, pumped like the routing flow: without an answer, what was seen here counts.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from math import inf
from threading import Lock
from typing import TYPE_CHECKING, Any

from session_router.core.effects import Failed, ReadHealth, ReplaceHealth
from session_router.core.health import UNKNOWN, Failure, FailureKind, Health, HealthRead, HealthView, Ill, RetryBudget

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator

    from session_router.core.call import Outcome
    from session_router.core.decision import Decision
    from session_router.core.effects import Effect
    from session_router.core.health import HealthRules
    from session_router.core.model import ModelName

MAXIMUM_RACES = 4
"""Rows lost to other replicas before this one goes by what it saw itself."""


@dataclass(slots=True)
class _Known:
    """What is known of one model.

    Attributes:
        health: As seen here and told by others.
        answers: Answers seen here that the others do not know of.
        is_told: Whether the others know what failed here.
    """

    health: Health = UNKNOWN
    answers: int = 0
    is_told: bool = True


class HealthBoard:
    """Health by model, and the retry budget, of one process. Safe for threads.

    Args:
        rules: When a model counts as unhealthy.
        is_shared: Whether there are others to tell.
        share: Draws the share of a pause, from [0, 1).
    """

    def __init__(self, rules: HealthRules, *, is_shared: bool, share: Callable[[], float] = random.random) -> None:
        self.rules = rules
        self._is_shared = is_shared
        self._share = share
        self._guard = Lock()
        self._known: dict[ModelName, _Known] = {}
        self._budget = RetryBudget()
        self._heard_at = -inf

    def view(self, now: float) -> HealthView | None:
        """Return what a decision at `now` (POSIX seconds) sees; `None` when nothing is held against any model."""
        if not self._known:
            return None
        with self._guard:
            known = {name: one.health for name, one in self._known.items()}
        ill = {name: Ill(why=one.why(now), until=one.admits_from()) for name, one in known.items() if one.admits_from() > now}
        probed = frozenset(name for name, one in known.items() if one.is_probed(now))
        if not ill and not probed:
            # One that failed a moment ago, and may be asked like any other.
            return None
        return HealthView(ill=ill, probed=probed, patience=self.rules.wait_seconds)

    def called(self) -> None:
        """Take notice that a model is asked that has not failed this call: a share of these may be tried again."""
        with self._guard:
            self._budget = self._budget.called(self.rules)

    def retried(self) -> bool:
        """Whether a model may be asked again that has failed this call; if so, it counts."""
        with self._guard:
            left = self._budget.retried()
            self._budget = self._budget if left is None else left
        return left is not None

    def is_old(self, now: float) -> bool:
        """Whether it is time to hear what the others know; who is told so asks, and nobody else meanwhile."""
        if not self._is_shared or abs(now - self._heard_at) < self.rules.refresh_seconds:
            return False
        with self._guard:
            if abs(now - self._heard_at) < self.rules.refresh_seconds:
                return False
            self._heard_at = now
        return True

    def hear(self, now: float) -> Generator[Effect, Any, None]:
        """Hear what the others know."""
        read = yield ReadHealth(now)
        if isinstance(read, HealthRead):
            self._take(read, now)

    def answered(self, name: ModelName, now: float) -> Generator[Effect, Any, None]:
        """Take notice of an answer."""
        known = self._known.get(name)
        if known is None:
            return
        with self._guard:
            before = known.health
            known.health, known.answers = before.answered(), known.answers + 1
            if known.health.is_known_good and not self._is_shared:
                self._known.pop(name, None)
        if known.health.circuit.state is not before.circuit.state:
            # It answers again: everybody is to know. Of other answers they hear with the next failure.
            yield from self._tell(name, now, lambda health: health.answered())

    def failed(self, name: ModelName, failure: Failure, now: float) -> Generator[Effect, Any, None]:
        """Take notice of a failure."""
        if failure.kind is FailureKind.REFUSED:
            yield from self.answered(name, now)
            return
        share = self._share()
        with self._guard:
            known = self._known.setdefault(name, _Known())
            answers, known.answers = known.answers, 0
            known.health = known.health.failed(failure, now, self.rules, share)
        yield from self._tell(name, now, lambda health: health.answered(answers).failed(failure, now, self.rules, share))

    def try_out(self, name: ModelName, now: float) -> Generator[Effect, Any, bool]:
        """Whether this call may find out for everybody whether the model answers again; if so, nobody else does meanwhile."""
        until = now + self.rules.probe_seconds
        if self._is_shared:
            for _ in range(MAXIMUM_RACES):
                read = yield ReadHealth(now)
                if not isinstance(read, HealthRead):
                    return self._try_out_alone(name, now, until)
                self._take(read, now)
                known = self._known.get(name, _Known())
                if not known.is_told:
                    break
                if not known.health.is_probed(now):
                    # Somebody else tries it out, or has done.
                    return known.health.admits_from() <= now
                asked = known.health.asked(until)
                stored = yield from self._replace(read, name, asked, now)
                if stored is None:
                    break
                if stored:
                    self._keep(name, asked)
                    return True
            else:
                # All races were lost: it is tried out, though nobody here saw by whom.
                self._keep(name, self._known.get(name, _Known()).health.asked(until))
                return False
        return self._try_out_alone(name, now, until)

    def _try_out_alone(self, name: ModelName, now: float, until: float) -> bool:
        with self._guard:
            known = self._known.get(name)
            if known is None or known.health.admits_from() > now:
                return known is None
            known.health = known.health.asked(until)
        return True

    def _tell(self, name: ModelName, now: float, change: Callable[[Health], Health]) -> Generator[Effect, Any, None]:
        """Make a change to what all replicas know; what they know already is heard with it."""
        if not self._is_shared:
            return
        for _ in range(MAXIMUM_RACES):
            read = yield ReadHealth(now)
            if not isinstance(read, HealthRead):
                break
            row = read.rows.get(name)
            changed = change(UNKNOWN if row is None else row.health)
            if row is None and changed.is_known_good:
                self._take(read, now, but=name)
                self._keep(name, changed)
                return
            stored = yield from self._replace(read, name, changed, now)
            if stored is None:
                break
            if stored:
                self._take(read, now, but=name)
                self._keep(name, changed)
                return
        with self._guard:
            if name in self._known:
                self._known[name].is_told = False

    def _replace(self, read: HealthRead, name: ModelName, health: Health, now: float) -> Generator[Effect, Any, bool | None]:
        seconds = max(1.0, health.remembered_until(self.rules) - now)
        stored = yield ReplaceHealth(read, name, health, seconds)
        return None if isinstance(stored, Failed) else bool(stored)

    def _keep(self, name: ModelName, health: Health) -> None:
        with self._guard:
            if health.is_known_good:
                self._known.pop(name, None)
                return
            known = self._known.setdefault(name, _Known())
            known.health, known.is_told = health, True

    def _take(self, read: HealthRead, now: float, *, but: ModelName | None = None) -> None:
        """Believe the others, except about what failed here and could not be told to them, while it is excluded."""
        names: Collection[Any] = {*self._known, *read.rows}
        with self._guard:
            self._heard_at = now
            for name in names:
                known, row = self._known.get(name), read.rows.get(name)
                if name == but or (known is not None and not known.is_told and known.health.admits_from() > now):
                    continue
                if row is None or row.health.is_known_good:
                    self._known.pop(name, None)
                else:
                    answers = 0 if known is None else known.answers
                    self._known[name] = _Known(health=row.health, answers=answers)


def noticed(board: HealthBoard, decision: Decision, outcome: Outcome) -> Generator[Effect, Any, None]:
    """Take notice of what came of `decision`, and hear from time to time what the other replicas know."""
    if decision.model is not None:
        if outcome.failure is not None:
            yield from board.failed(decision.model, outcome.failure, outcome.at)
        elif outcome.error is None:
            yield from board.answered(outcome.model or decision.model, outcome.at)
    if board.is_old(outcome.at):
        yield from board.hear(outcome.at)
