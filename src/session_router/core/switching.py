"""Stay or switch: which offer a session takes at a boundary."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Any, NamedTuple

from session_router.core.decision import Reason
from session_router.core.ledger import Ledger, new_ledger
from session_router.core.pricing import NOTHING, USD
from session_router.core.value import maker, value
from session_router.core.work_function import begun, following, nearest, paid, served

if TYPE_CHECKING:
    from collections.abc import Mapping

    from session_router.core.model import ModelName
    from session_router.core.offer import Offer
    from session_router.core.policy import Policy


@value
class Standing:
    """How a session stands at a boundary.

    Attributes:
        current: The model that it is on, whether or not that is on offer; `None` when it is on none.
        trusted: Whether the predictions have earned to be followed.
        since_switch: Turns since its last switch; `None` before the first.
        ledger: Its dollars, anchored on a model that is on offer; `None` when it has neither a ledger nor a current model.
        unmoved: Expected dollars of the segment on the ledger's anchor, had the session never left it.
        reserve: At least what a return to the anchor at the next boundary costs above never having left it.
        work: Its work function; empty for none yet, or none any more.
        quiet: Boundaries in a row at which a model with a cheaper loop would have been the best.
    """

    current: ModelName | None
    trusted: bool
    since_switch: int | None = None
    ledger: Ledger | None = None
    unmoved: USD = NOTHING
    reserve: USD = NOTHING
    work: Mapping[ModelName, USD] = field(default_factory=dict["ModelName", "USD"])
    quiet: int = 0

    def to_plain(self) -> dict[str, Any]:
        """Return JSON-ready values; what is empty is left out."""
        facts = {
            "since_switch": self.since_switch,
            "ledger": None if self.ledger is None else self.ledger.to_plain(),
            "unmoved": None if self.ledger is None else self.unmoved,
            "reserve": None if self.ledger is None else self.reserve,
            "work": dict(self.work) or None,
            "quiet": self.quiet or None,
        }
        return {key: value for key, value in facts.items() if value is not None}


new_standing = maker(Standing)


@value
class Verdict:
    """Which offer is taken.

    Attributes:
        model: Whose.
        reason: Why.
        ledger: The dollars after it.
        work: The work function after it.
        quiet: As in `Standing`, after it.
    """

    model: ModelName
    reason: Reason
    ledger: Ledger
    work: Mapping[ModelName, USD]
    quiet: int


new_verdict = maker(Verdict)


class _Work(NamedTuple):
    """What the work function looks at: by model, what `paid` says, and the arrival prices."""

    dollars: Mapping[ModelName, float]
    arrival: Mapping[ModelName, USD]


def decide(offers: Mapping[ModelName, Offer], standing: Standing, policy: Policy) -> Verdict:
    """Take an offer.

    Predictions that have earned it are followed, as far as stability lets them; else the work function decides, whose
    loss is bounded whatever comes. Over both stands the cap on what switching may cost.

    Args:
        offers: By model, at least one.
        standing: How the session stands.
        policy: The settings.
    """
    here, best, work = _here(offers, standing), _best(offers, standing.current), _work(offers, standing)
    if here is None:
        reason = Reason.FIRST_CALL if standing.current is None else Reason.CURRENT_NOT_ELIGIBLE
        name = nearest(*work, standing.current) if work is not None and standing.work else best
        return _verdict(offers[name], None, standing, reason, work=work)
    quiet = _quiet(offers[best], here, standing)
    if work is None:
        # The risk that is left on every model is nothing that a switch could save.
        unavoidable = min([offer.risk for offer in offers.values()])
        model, reason = _by_expectation(offers[best], here, standing, policy, quiet=quiet, unavoidable=unavoidable)
    else:
        model = nearest(*work, standing.current)
        reason = Reason.STILL_BEST if model == here.model else Reason.WORK_FUNCTION
    if policy.cap is not None and not _is_within_cap(offers[model], _ledger(standing, here), standing, policy.cap):
        model, reason = _best(within_cap(offers, standing, policy), here.model), Reason.CAPPED
    return _verdict(offers[model], here, standing, reason, work=work, quiet=quiet)


def taken(offers: Mapping[ModelName, Offer], standing: Standing, name: ModelName, reason: Reason) -> Verdict:
    """Take the offer of `name`, whoever chose it.

    Args:
        offers: By model, at least one.
        standing: How the session stands.
        name: One of them.
        reason: Why it is taken.
    """
    here = _here(offers, standing)
    quiet = 0 if here is None else _quiet(offers[_best(offers, here.model)], here, standing)
    return _verdict(offers[name], here, standing, reason, work=_work(offers, standing), quiet=quiet)


def within_cap(offers: Mapping[ModelName, Offer], standing: Standing, policy: Policy) -> Mapping[ModelName, Offer]:
    """Return the offers that the cap on what switching may cost allows.

    The anchor's always is one, if there is a current model on offer; a session that is on none is anchored on what it takes.
    """
    here = _here(offers, standing)
    if policy.cap is None or here is None:
        return offers
    ledger = _ledger(standing, here)
    return {name: offer for name, offer in offers.items() if _is_within_cap(offer, ledger, standing, policy.cap)}


def _here(offers: Mapping[ModelName, Offer], standing: Standing) -> Offer | None:
    return None if standing.current is None else offers.get(standing.current)


def _ledger(standing: Standing, here: Offer) -> Ledger:
    return standing.ledger or new_ledger(anchor=here.model)


def _quiet(best: Offer, here: Offer, standing: Standing) -> int:
    return standing.quiet + 1 if best.loop < here.loop else 0


def _best(offers: Mapping[ModelName, Offer], current: ModelName | None) -> ModelName:
    """Name the least expected dollars; ties go to the current model, then to the first name."""
    return min(offers, key=lambda name: (offers[name].expected, name != current, name))


def _work(offers: Mapping[ModelName, Offer], standing: Standing) -> _Work | None:
    """Return what the work function looks at; `None` where predictions are followed.

    Its bound is that of a stretch that it decides alone: there it ends, and once predictions are not followed any more, another
    one begins on the model that the session is on.
    """
    if standing.trusted:
        return None
    arrival = {name: offer.arrival for name, offer in offers.items()}
    costs = {name: offer.served for name, offer in offers.items()}
    return _Work(paid(standing.work, costs, arrival) if standing.work else served(begun(arrival, standing.current), costs), arrival)


def _verdict(offer: Offer, here: Offer | None, standing: Standing, reason: Reason, *, work: _Work | None, quiet: int = 0) -> Verdict:
    after = {} if work is None else following(*work)
    if here is None:
        return new_verdict(model=offer.model, reason=reason, ledger=_anchored(offer), work=after, quiet=0)
    ledger = _ledger(standing, here).charged(cost=offer.segment, unmoved=standing.unmoved)
    return new_verdict(model=offer.model, reason=reason, ledger=ledger, work=after, quiet=quiet if offer.model == here.model else 0)


def _anchored(offer: Offer) -> Ledger:
    dollars = offer.segment
    return new_ledger(anchor=offer.model, spent=dollars, unmoved=dollars)


def _by_expectation(
    best: Offer, here: Offer, standing: Standing, policy: Policy, *, quiet: int, unavoidable: USD
) -> tuple[ModelName, Reason]:
    if best.model == here.model:
        return here.model, Reason.STILL_BEST
    if policy.patience and quiet >= policy.patience:
        # A small saving at every boundary is a large one in the end.
        return best.model, Reason.SUSTAINED_LOW_NEED
    if policy.cooldown and standing.since_switch is not None and standing.since_switch <= policy.cooldown:
        return here.model, Reason.COOLDOWN
    if here.expected - best.expected <= policy.margin * (here.expected - unavoidable):
        return here.model, Reason.WITHIN_MARGIN
    return best.model, Reason.LOWER_EXPECTED_COST


def _is_within_cap(offer: Offer, ledger: Ledger, standing: Standing, share: float) -> bool:
    """Whether the cap allows `offer`: the anchor's is always allowed."""
    return ledger.allows(offer.model, cost=offer.segment, unmoved=standing.unmoved, reserve=standing.reserve, share=share)
