"""Rows of decisions, read back: what a policy saw at a boundary, and with which chance it took what it took."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from math import isfinite
from typing import TYPE_CHECKING, Any, NoReturn, cast

from session_router.core.decision import Reason
from session_router.core.ledger import Ledger
from session_router.core.model import ModelName
from session_router.core.offer import Later, Offer, afterwards
from session_router.core.pricing import USD
from session_router.core.switching import Standing
from session_router.errors import RecordingError, StoreCorrupt
from session_router.recordings.kinds import told

if TYPE_CHECKING:
    from collections.abc import Mapping

_TERMS = ("ingest", "loop", "risk", "handoff", "afterwards", "refresh", "arrival")
_LARGEST = 2**53 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedChoice:
    """A choice by dollars, as its row tells it.

    Attributes:
        offers: Of the models that could be chosen, by name.
        standing: How the session stood.
        chances: `p_success` of these models.
        propensities: Chance, in (0, 1], with which each model was taken; one that is missing had none.
    """

    offers: Mapping[ModelName, Offer]
    standing: Standing
    chances: Mapping[ModelName, float]
    propensities: Mapping[ModelName, float]

    def at_stake(self, stake: float) -> LoggedChoice | None:
        """Return this choice where a badly served segment costs `stake` US dollars; `None` when the row does not tell.

        What the session has spent so far, its work function, and for how long a cheaper model would have been the best, stay those
        of the policy that logged.
        """
        known = {name: offer.later for name, offer in self.offers.items() if offer.later is not None}
        if len(known) < len(self.offers):
            return None
        following = afterwards(known, stake)
        offers = {
            name: replace(offer, risk=USD(stake * (1 - self.chances[name])), afterwards=following[name])
            for name, offer in self.offers.items()
        }
        ledger, unmoved = self.standing.ledger, self.standing.unmoved
        if ledger is not None and ledger.anchor in offers:
            unmoved = USD(max(0.0, unmoved + offers[ledger.anchor].risk - self.offers[ledger.anchor].risk))
        return replace(self, offers=offers, standing=replace(self.standing, unmoved=unmoved))


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedDecision:
    """One row.

    Attributes:
        decision: Its id.
        session: Whose it is.
        segment: The same for all calls of a segment.
        at_boundary: Whether no lock held.
        model: Who was chosen; `None` when refused.
        reason: Why.
        policy: Version of the policy that chose.
        stake: US dollars that a badly served segment costs, as that policy had it.
        choice: What the choice by dollars looked at; `None` when there was none.
    """

    decision: str
    session: str
    segment: str
    at_boundary: bool
    model: ModelName | None
    reason: str
    policy: str
    stake: float
    choice: LoggedChoice | None

    @property
    def explored(self) -> bool:
        """Whether this is not what the policy itself would have chosen."""
        return self.reason == Reason.EXPLORED.value


def read_decision(row: Mapping[str, object], *, source: str | None = None, line: int | None = None) -> LoggedDecision:
    """Read what `Decision.to_plain` wrote, and what `session-router replay --json` adds to it.

    Args:
        row: Of a file that is not trusted.
        source: The file, for errors.
        line: Where in it, likewise.

    Raises:
        RecordingError: It is something else.
    """
    return _Reader(source, line).decision(row)


def read_feedback(row: Mapping[str, object], *, source: str | None = None, line: int | None = None) -> tuple[str, float, float]:
    """Read a row of feedback: the id of a decision, how well its segment was served, in [0, 1], and how much that counts, in (0, 1].

    Raises:
        RecordingError: It is something else.
    """
    return _Reader(source, line).feedback(row)


@dataclass(frozen=True, slots=True)
class _Reader:
    """Where we are, for errors."""

    source: str | None
    line: int | None

    def decision(self, row: Mapping[str, object]) -> LoggedDecision:
        evidence = self.table("evidence", row.get("evidence"))
        boundary, name = row.get("boundary"), self.text("decision_id", row.get("decision_id"))
        session, model = row.get("session"), row.get("model")
        propensity = evidence.get("propensity")
        return LoggedDecision(
            decision=name,
            # A call that nobody could identify is a session of its own.
            session=name if session is None else self.text("session", session),
            segment=name if boundary is None else self.text("boundary.segment", self.table("boundary", boundary).get("segment")),
            at_boundary=row.get("lock") is None,
            model=None if model is None else ModelName(self.text("model", model)),
            reason=self.text("reason", row.get("reason")),
            policy=self.text("policy", row.get("policy")),
            stake=self.number("evidence.stake", evidence.get("stake")),
            choice=None if propensity is None or row.get("lock") is not None else self.choice(row, evidence),
        )

    def choice(self, row: Mapping[str, object], evidence: Mapping[str, object]) -> LoggedChoice:
        candidates: object = evidence.get("candidates")
        if not isinstance(candidates, list):
            self.fail("evidence.candidates", "expected a list", candidates)
        offers: dict[ModelName, Offer] = {}
        chances: dict[ModelName, float] = {}
        propensities: dict[ModelName, float] = {}
        for index, item in enumerate(cast("list[object]", candidates)):
            place = f"evidence.candidates.{index}"
            one = self.table(place, item)
            if one.get("expected") is None or one.get("excluded"):
                continue
            name = ModelName(self.text(f"{place}.model", one.get("model")))
            terms = {term: USD(self.number(f"{place}.{term}", one.get(term, 0.0))) for term in _TERMS}
            offers[name] = Offer(model=name, **terms, later=self.later(f"{place}.later", one.get("later")))
            chances[name] = self.chance(f"{place}.p_success", one.get("p_success"))
            if one.get("propensity") is not None:
                propensities[name] = self.chance(f"{place}.propensity", one.get("propensity"))
        model, taken = row.get("model"), self.chance("evidence.propensity", evidence.get("propensity"))
        if model not in offers or propensities.get(cast("ModelName", model), taken) != taken or not taken:
            self.fail("model", "expected one of the candidates with an offer, and its propensity", model)
        return LoggedChoice(
            offers=offers,
            standing=self.standing(row.get("previous"), evidence),
            chances=chances,
            propensities=propensities or {cast("ModelName", model): taken},
        )

    def later(self, place: str, value: object) -> Later | None:
        if value is None:
            return None
        expected = "expected a list of three numbers"
        if not isinstance(value, list):
            self.fail(place, expected, value)
        items = cast("list[object]", value)
        if len(items) != len(fields(Later)):
            self.fail(place, expected, items)
        dollars, lapses, arrival = (self.number(f"{place}.{index}", one) for index, one in enumerate(items))
        return Later(dollars=USD(dollars), lapses=lapses, arrival=USD(arrival))

    def standing(self, current: object, evidence: Mapping[str, object]) -> Standing:
        table = self.table("evidence.standing", evidence.get("standing") or {})
        ledger, since, trusted = table.get("ledger"), table.get("since_switch"), evidence.get("trusted")
        if not isinstance(trusted, bool):
            self.fail("evidence.trusted", "expected true or false", trusted)
        work = self.table("evidence.standing.work", table.get("work") or {})
        try:
            read = None if ledger is None else Ledger.from_plain(ledger)
        except StoreCorrupt:
            self.fail("evidence.standing.ledger", "expected a model name and two amounts", ledger)
        return Standing(
            current=None if current is None else ModelName(self.text("previous", current)),
            trusted=trusted,
            since_switch=None if since is None else self.count("evidence.standing.since_switch", since),
            ledger=read,
            unmoved=USD(self.number("evidence.standing.unmoved", table.get("unmoved", 0.0))),
            reserve=USD(self.number("evidence.standing.reserve", table.get("reserve", 0.0))),
            work={ModelName(name): USD(self.number(f"evidence.standing.work.{name}", dollars)) for name, dollars in work.items()},
            quiet=self.count("evidence.standing.quiet", table.get("quiet", 0)),
        )

    def feedback(self, row: Mapping[str, object]) -> tuple[str, float, float]:
        success, weight = row.get("success"), self.chance("weight", row.get("weight", 1.0))
        if not weight:
            self.fail("weight", "expected a number in (0, 1]", weight)
        return (
            self.text("decision_id", row.get("decision_id")),
            float(success) if isinstance(success, bool) else self.chance("success", success),
            weight,
        )

    def table(self, place: str, value: object) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            self.fail(place, "expected a table", value)
        return cast("dict[str, Any]", value)

    def text(self, place: str, value: object) -> str:
        if not isinstance(value, str) or not value:
            self.fail(place, "expected a text", value)
        return value

    def number(self, place: str, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LARGEST or not isfinite(value):
            self.fail(place, "expected a number >= 0", value)
        return float(value)

    def chance(self, place: str, value: object) -> float:
        number = self.number(place, value)
        if number > 1:
            self.fail(place, "expected a number in [0, 1]", value)
        return number

    def count(self, place: str, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LARGEST:
            self.fail(place, "expected a whole number >= 0", value)
        return value

    def fail(self, place: str, expected: str, value: object) -> NoReturn:
        # A row may hold anything, and longer than anybody can read.
        found = "nothing" if value is None else told(value)
        rule = f"{expected}, found {found}; give rows that `Decision.to_plain` or `session-router replay --json` wrote."
        raise RecordingError(rule, source=self.source, line=self.line, place=place)
