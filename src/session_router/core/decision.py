"""A decision, with everything that is needed to recompute it."""

from __future__ import annotations

from dataclasses import field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from session_router.core.cached import CacheHit
from session_router.core.value import maker, value
from session_router.errors import NoCapableModel, NoClearedModel, NoHealthyModel, NoModelChosen, NotHandedOn, NotRecorded, Unportable

if TYPE_CHECKING:
    from session_router.core.boundary import Lock
    from session_router.core.boundary_choice import BoundaryChoice
    from session_router.core.cached import CacheMiss, CacheQuestion
    from session_router.core.exposure import Exposure
    from session_router.core.governance import Tag
    from session_router.core.model import ModelName
    from session_router.core.need import Alarm
    from session_router.core.offer import Offer
    from session_router.core.pricing import USD
    from session_router.core.risk import Certificate
    from session_router.core.segment import Forecast
    from session_router.core.session import Session, SessionId, Visit
    from session_router.core.switching import Standing
    from session_router.core.transcript import Prefix
    from session_router.core.upgrades import Watched


class Action(StrEnum):
    """What happens to the session's model."""

    KEEP = "keep"
    SWITCH = "switch"
    FORCED_SWITCH = "forced_switch"
    CACHE_HIT = "cache_hit"
    REFUSE = "refuse"


class Reason(StrEnum):
    """Why."""

    FIRST_CALL = "first_call"
    NO_HUMAN_MESSAGE = "no_human_message"
    LOCKED = "locked"
    PINNED = "pinned"
    INTERNAL_CALL = "internal_call"
    STILL_BEST = "still_best"
    WITHIN_MARGIN = "within_margin"
    COOLDOWN = "cooldown"
    CAPPED = "capped"
    SUSTAINED_LOW_NEED = "sustained_low_need"
    WORK_FUNCTION = "work_function"
    LOWER_EXPECTED_COST = "lower_expected_cost"
    EXPLORED = "explored"
    ANSWERED_BEFORE = "answered_before"
    UPGRADE_CAPPED = "upgrade_capped"
    NO_SCORE = "no_score"
    CURRENT_NOT_ELIGIBLE = "current_not_eligible"
    NO_SESSION = "no_session"
    ASKER_NOT_ROUTABLE = "asker_not_routable"
    LOST_CLEARANCE = "lost_clearance"
    FALLBACK = "fallback"
    NOT_CLEARED = "not_cleared"
    NOT_CAPABLE = "not_capable"
    NOT_HEALTHY = "not_healthy"
    UNPORTABLE = "unportable"
    NOT_RECORDED = "not_recorded"
    NOT_HANDED_ON = "not_handed_on"


@value
class Candidate:
    """One model, as the decision saw it.

    Attributes:
        model: Its name.
        excluded: Why it could not be chosen; empty when it could.
        uncleared: Whether `excluded` is a rule of governance.
        unportable: Whether `excluded` is that it cannot take the history.
        unhealthy: Whether `excluded` is that its endpoint fails, or asks not to be asked.
        cached: Tokens of the request that its provider should still hold.
        cost: Dollars of the call.
        p_success: Need, in [0, 1], as the choice took it: corrected by feedback; `None` when nobody scored.
        scored: What the scorer itself said, in [0, 1]; `None` when nobody scored.
        certificate: That the model seldom under-serves such segments; `None` when nobody can say so.
        propensity: Chance, in (0, 1), with which exploration takes it here; `None` where it cannot, or has no choice.
        offer: Expected dollars of the segment, term by term, and of what follows; `None` when they were not asked for.
    """

    model: ModelName
    excluded: str = ""
    uncleared: bool = False
    unportable: bool = False
    unhealthy: bool = False
    cached: int = 0
    cost: USD | None = None
    p_success: float | None = None
    scored: float | None = None
    certificate: Certificate | None = None
    propensity: float | None = None
    offer: Offer | None = None

    @property
    def expected(self) -> USD | None:
        """Expected dollars of the segment and of what follows; `None` when they were not asked for."""
        return None if self.offer is None else self.offer.expected

    def to_plain(self) -> dict[str, Any]:
        """Return JSON-ready values; what is not known is left out."""
        known = {
            "excluded": self.excluded or None,
            "uncleared": self.uncleared or None,
            "unportable": self.unportable or None,
            "unhealthy": self.unhealthy or None,
            "cached": self.cached or None,
            "cost": self.cost,
            "p_success": self.p_success,
            "scored": None if self.scored == self.p_success else self.scored,
            "certificate": None if self.certificate is None else self.certificate.to_plain(),
            "propensity": self.propensity,
        }
        offer = {} if self.offer is None else self.offer.to_plain()
        return {"model": self.model, **{key: value for key, value in known.items() if value is not None}, **offer}


new_candidate = maker(Candidate)


@value
class Evidence:
    """What the decision rests on.

    Attributes:
        candidates: Every model of the router, in the order of the routes.
        tokens: Estimated tokens of the request.
        output_tokens: Output tokens that the dollars of the call assume.
        stake: Dollars that a badly served segment costs.
        margin: Share of the current model's expected dollars, less the risk that is left on every model, that a switch must
            save.
        forecast: The segment that the expected dollars assume; `None` when they were not asked for.
        standing: How the session stood before the choice; `None` when dollars were not asked for.
        propensity: Chance, in (0, 1], with which the policy takes the chosen model here; `None` when no choice by dollars was made.
        alarm: That a part of the text speaks for all of it, as the scorer saw it; `None` for nothing of the kind.
        upgrades: What the watch over upgrades saw; `None` when nobody watches, or no choice by dollars was made.
        spent: Dollars of the session's ledger after this decision: its own, and those of never switching; `None`
            when they were not asked for.
        cache: What came of a look-up in the response cache; `None` when nobody looked.
        tag: The label of the payload, as text; empty when governance is not in use.
        narrowed: How the request was made smaller, because no model may see all of it; empty where it was not.
        exposures: What providers of other models may still hold of what the session sent them before, public data left out.
        blocked_by: What the chosen model cannot take of this history and the integration must convert; what
            stood in the way, when refused.
        degraded: What was unavailable: `store`, `scorer`, `audit`.
        waited: Seconds that the call waited, for a model to be healthy again and before retries.
        healthy_in: Seconds until a model may be asked that could have answered; `None` unless none was healthy.
    """

    candidates: tuple[Candidate, ...] = ()
    tokens: int = 0
    output_tokens: int = 0
    stake: float = 0.0
    margin: float = 0.0
    forecast: Forecast | None = None
    standing: Standing | None = None
    propensity: float | None = None
    alarm: Alarm | None = None
    upgrades: Watched | None = None
    spent: tuple[USD, USD] | None = None
    cache: CacheHit | CacheMiss | None = None
    tag: str = ""
    narrowed: str = ""
    exposures: tuple[Exposure, ...] = ()
    blocked_by: tuple[str, ...] = ()
    degraded: tuple[str, ...] = ()
    waited: float = 0.0
    healthy_in: float | None = None

    @property
    def trusted(self) -> bool | None:
        """Whether the predictions were followed; `None` when they were not asked for."""
        return None if self.standing is None else self.standing.trusted

    def to_plain(self) -> dict[str, Any]:
        """Return JSON-ready values; what is empty is left out."""
        lists = {
            "forecast": None if self.forecast is None else self.forecast.to_plain(),
            "spent": None if self.spent is None else list(self.spent),
            "standing": None if self.standing is None else self.standing.to_plain(),
            "propensity": self.propensity,
            "alarm": None if self.alarm is None else self.alarm.to_plain(),
            "upgrades": None if self.upgrades is None else self.upgrades.to_plain(),
            "cache": None if self.cache is None else self.cache.to_plain(),
            "narrowed": self.narrowed,
            "exposures": [one.to_plain() for one in self.exposures],
            "blocked_by": list(self.blocked_by),
            "degraded": list(self.degraded),
            "tag": self.tag,
            "waited": self.waited,
            "healthy_in": self.healthy_in,
        }
        trusted = {} if self.trusted is None else {"trusted": self.trusted}
        return {
            "tokens": self.tokens,
            "output_tokens": self.output_tokens,
            "stake": self.stake,
            "margin": self.margin,
            "candidates": [candidate.to_plain() for candidate in self.candidates],
            **trusted,
            **{key: value for key, value in lists.items() if value},
        }


new_evidence = maker(Evidence)


@value
class Decision:
    """Which model answers this call, and why.

    Attributes:
        id: Derived from the session, its version, the transcript, the policy and the time: the same inputs
            give the same id.
        action: What happens to the session's model.
        model: Who answers; `None` when refused.
        previous: Who answered before; `None` at the first call, and when it is no route.
        reason: Why.
        lock: The lock that held, or `None` at a boundary.
        evidence: What the decision rests on.
        policy: Version of the policy.
        session_id: Who called; `None` when the caller could not be identified.
        session: The session as this decision leaves it; `None` when there is none, or the store
            gave no answer.
        turn: Number of the turn, from 1; 0 when nobody has typed anything.
        call: Number of the call in its turn, from 1.
        steps: Messages in the request.
        prefix: Digest and estimated tokens of the request.
        at: POSIX seconds.
        earlier: How far the model had read before this call, which may fail; `None` for never.
        internal: Whether a middleware, not the agent, made this call; it leaves the session as it was.
        carried: Whether the framework, not the store, keeps the session.
        agent: Which agent called; `None` when there is only one.
        tag: Label of what is sent, and so of the answer; `None` when governance is not in use.
        boundary: The choice that the segment began with, which feedback on this call is about; `None` when no chances decided.
        asked: What a look-up missed: the answer to this call answers it as well. It holds the user's text, and is written nowhere.
    """

    id: str
    action: Action
    model: ModelName | None
    previous: ModelName | None
    reason: Reason
    lock: Lock | None
    evidence: Evidence
    policy: str
    session_id: SessionId | None
    session: Session | None
    turn: int
    call: int
    steps: int
    prefix: Prefix
    at: float
    earlier: Visit | None = None
    internal: bool = False
    carried: bool = False
    agent: str | None = None
    tag: Tag | None = None
    boundary: BoundaryChoice | None = None
    asked: CacheQuestion | None = field(default=None, repr=False)

    @property
    def hit(self) -> CacheHit | None:
        """The stored answer to replay instead of asking a model; `None` when a model answers, or nobody."""
        found = self.evidence.cache
        return found if self.action is Action.CACHE_HIT and isinstance(found, CacheHit) else None

    @property
    def switched(self) -> bool:
        """Whether the session leaves the model it was on."""
        return self.action in {Action.SWITCH, Action.FORCED_SWITCH}

    @property
    def refused(self) -> bool:
        """Whether nobody may answer."""
        return self.action is Action.REFUSE

    def chosen(self) -> ModelName:
        """Return the model, or raise what the refusal stands for.

        Raises:
            NoModelChosen: There is a stored answer to replay: `hit`.
            NoClearedModel: Governance forbids every candidate.
            NoCapableModel: No cleared candidate can serve the call.
            NoHealthyModel: Those that could do not answer, or ask not to be asked, for longer than a call waits.
            NotHandedOn: The store could not take the label that other sessions of the same graph would need.
            NotRecorded: The audit log could not be written, and the policy demands a record of what bears this label.
            Unportable: The history is bound to a provider and the policy says `raise`.
        """
        if self.model is not None:
            return self.model
        if self.hit is not None:
            raise NoModelChosen
        if self.reason is Reason.NOT_RECORDED:
            raise NotRecorded(tag=self.evidence.tag)
        if self.reason is Reason.NOT_HANDED_ON:
            raise NotHandedOn(tag=self.evidence.tag)
        candidates = self.evidence.candidates
        if self.reason is Reason.NOT_CLEARED:
            raise NoClearedModel(tag=self.evidence.tag, tried={c.model: c.excluded for c in candidates if c.uncleared})
        if self.reason is Reason.UNPORTABLE:
            target = next((c.model for c in candidates if c.unportable), "the next model")
            raise Unportable(model=target, bindings=self.evidence.blocked_by)
        if self.reason is Reason.NOT_HEALTHY:
            locked = None if self.lock is None else self.previous
            ill = {str(c.model): c.excluded for c in candidates if c.unhealthy and locked in {None, c.model}}
            raise NoHealthyModel(tried=ill, locked=locked, retry_after=self.evidence.healthy_in or 0.0, waited=self.evidence.waited)
        raise NoCapableModel(tried={c.model: c.excluded for c in candidates if c.excluded})

    def to_plain(self) -> dict[str, Any]:
        """Return JSON-ready values: the row that `replay` writes and `explain` reads."""
        lock = self.lock
        return {
            "decision_id": self.id,
            "session": self.session_id,
            "at": self.at,
            "decision": self.action.value,
            "model": self.model,
            "previous": self.previous,
            "reason": self.reason.value,
            "lock": None if lock is None else {"kind": lock.kind.value, "model": lock.model, "waiting_for": len(lock.waiting_for)},
            "turn": self.turn,
            "call": self.call,
            "policy": self.policy,
            "boundary": None if self.boundary is None else self.boundary.to_plain(),
            "evidence": self.evidence.to_plain(),
        }


new_decision = maker(Decision)
