"""What each candidate would cost over the coming segment, and after it."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING, NamedTuple

from session_router.core.ledger import Ledger
from session_router.core.offer import Later, Offer, afterwards, new_later, new_offer
from session_router.core.prefix import tokens_read
from session_router.core.pricing import USD, cold_premium, cold_price, ingest_price, segment_price
from session_router.core.segment import Forecast
from session_router.core.switching import Standing, new_standing
from session_router.core.value import maker, value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from session_router.core.account import Account
    from session_router.core.model import ModelName
    from session_router.core.segment import Habits
    from session_router.core.session import Visit
    from session_router.core.situation import Situation

TRUSTED_SEGMENTS = 3.0
"""Segments of experience after which predictions are followed."""

TRUSTED_BOUNDARIES = 1.0
"""Past boundaries like this one that suffice instead."""

UNLEARNED_WEIGHT = 1.0
"""Past boundaries that the expectation of more of the same counts for against them."""

TRUSTED_SURPRISE = log(4)
"""Segments that are, in the mean, four times as long or as short as predicted were not predicted."""


@value
class Appraisal:
    """The candidates, priced.

    Attributes:
        offers: By model.
        forecast: The coming segment.
        standing: How the session stands.
    """

    offers: Mapping[ModelName, Offer]
    forecast: Forecast
    standing: Standing


new_appraisal = maker(Appraisal)


def appraise(situation: Situation, account: Account, habits: Habits, chances: Mapping[ModelName, float]) -> Appraisal:
    """Price the models of `chances`.

    Args:
        situation: What the decision looks at.
        account: What the session has learned and spent.
        habits: Those of the account, the segment that has just ended included.
        chances: `p_success` of the candidates, at least one, each with a price.
    """
    policy, tokens, experience = situation.policy, situation.call.transcript.tokens, situation.policy.experience
    forecast = Forecast.of(habits, output=policy.output_tokens)
    outlook = None if experience is None else experience.outlook(number=account.number + 1, tokens=tokens, chances=chances)
    weight = 0.0 if outlook is None else outlook.weight
    if outlook is not None:
        forecast = forecast.blended(outlook.forecast, weight=habits.weight + UNLEARNED_WEIGHT, other_weight=weight)
    later = _the_same_again(situation, account, chances, forecast)
    following = afterwards(later, policy.stake)
    if outlook is not None:
        share = weight / (weight + UNLEARNED_WEIGHT)
        following = {name: USD(dollars + share * (outlook.afterwards[name] - dollars)) for name, dollars in following.items()}
        later = {}
    last = _last_read(situation)
    offers = {
        name: _offer(situation, name, chance, forecast, last=last, afterwards=following[name], later=later.get(name))
        for name, chance in chances.items()
    }
    trusted = habits.surprise <= TRUSTED_SURPRISE and (weight >= TRUSTED_BOUNDARIES or habits.weight >= TRUSTED_SEGMENTS)
    standing = _standing(situation, account, offers, forecast, trusted=trusted)
    return new_appraisal(offers=offers, forecast=forecast, standing=standing)


class _LastRead(NamedTuple):
    """What the model read that answered last, whichever it was: as if a session had never left one model, that would have read it."""

    tokens: int
    seconds: float  # ago


def _offer(
    situation: Situation, name: ModelName, chance: float, forecast: Forecast, *, last: _LastRead, afterwards: USD, later: Later | None
) -> Offer:
    policy, intake = situation.policy, situation.intakes[name]
    prices, cache, tokens, cached = intake.prices, intake.cache, intake.tokens, intake.cached
    price = segment_price(prices, cache, forecast, tokens=tokens, cached=cached, scale=intake.scale)
    ingest = price.ingest
    moved = situation.current is not None and name != situation.current
    kept = intake.kept(last.tokens, seconds=last.seconds)
    refresh = ingest if kept <= cached else ingest_price(prices, cache, tokens=tokens, cached=kept)
    # Where nothing is cached, all is read cold as things are.
    cold = cold_price(prices, cache, tokens) if cached else max(0.0, ingest)
    return new_offer(
        model=name,
        ingest=ingest,
        loop=price.loop,
        risk=USD(policy.stake * (1 - chance)),
        handoff=USD(policy.handoff if moved else 0.0),
        afterwards=afterwards,
        refresh=refresh,
        arrival=USD(max(0.0, cold - refresh) + policy.handoff),
        later=later,
    )


def _last_read(situation: Situation) -> _LastRead:
    session, transcript = situation.session, situation.call.transcript
    last: tuple[ModelName, Visit] | None = None
    steps = len(transcript.steps)
    for one in () if session is None else session.visits.items():
        # Before this request: it may have been routed already, and nobody had read it then.
        if one[1].steps < steps and (last is None or one[1].at > last[1].at):
            last = one
    if last is None:
        return _LastRead(0, 0.0)
    name, visit = last
    intake = situation.intakes.get(name)
    return _LastRead(tokens_read(transcript, visit) if intake is None else intake.read, situation.call.now - visit.at)


def _the_same_again(
    situation: Situation, account: Account, chances: Mapping[ModelName, float], forecast: Forecast
) -> dict[ModelName, Later]:
    """Expect more of the same of the segments that still follow, for a session that stays on one model."""
    policy, further = situation.policy, forecast.further
    added = (forecast.calls - 1) * forecast.growth + forecast.between
    later: dict[ModelName, Later] = {}
    for name, chance in account.drift.expected(chances, further=further).items():
        intake = situation.intakes[name]
        prices, cache, tokens, scale = intake.prices, intake.cache, intake.tokens, intake.scale
        # In the middle of what follows; prices are linear in the tokens.
        then = tokens + added * scale * (1 + further) / 2
        read = max(0.0, then - forecast.between * scale)
        cached = read if read >= cache.minimum_tokens else 0.0
        price = segment_price(prices, cache, forecast, tokens=then, cached=cached, scale=scale)
        later[name] = new_later(
            dollars=USD(further * (price.ingest + price.loop)),
            lapses=max(0.0, further * (1 - chance)),
            arrival=USD(cold_price(prices, cache, tokens + added * scale) + policy.handoff if further else 0.0),
        )
    return later


def _standing(situation: Situation, account: Account, offers: Mapping[ModelName, Offer], forecast: Forecast, *, trusted: bool) -> Standing:
    session, transcript, current = situation.session, situation.call.transcript, situation.current
    ledger = account.ledger
    if ledger is not None and (ledger.anchor not in offers or _is_elsewhere(situation, account)):
        ledger = None
    if ledger is None and current is not None and current in offers:
        # There is no way back to the former anchor, or none that was reserved for: the session is anchored where it is now.
        ledger = Ledger(anchor=current)
    since = None if session is None or session.switched_at is None else transcript.turn - session.switched_at
    return new_standing(
        current=current,
        trusted=trusted,
        # One in a later turn was before a summary, across which nobody counts turns.
        since_switch=None if since is None or since < 0 else since,
        ledger=ledger,
        unmoved=USD(0.0) if ledger is None else _unmoved(situation, account, offers[ledger.anchor]),
        reserve=USD(0.0) if ledger is None else _reserve(situation, ledger.anchor, forecast),
        work=account.work,
        quiet=account.quiet,
    )


def _is_elsewhere(situation: Situation, account: Account) -> bool:
    """Whether the session is on another model than dollars chose: a pin, a fallback, a lost clearance moved it."""
    return account.segment is not None and account.segment.model != situation.current


def _unmoved(situation: Situation, account: Account, anchor: Offer) -> USD:
    """Dollars of the segment on the anchor, had the session never left it.

    Its cache would hold all that the session has read.
    """
    left = account.segment is not None and anchor.model != situation.current
    return USD((anchor.refresh if left else anchor.ingest) + anchor.loop + anchor.risk)


def _reserve(situation: Situation, anchor: ModelName, forecast: Forecast) -> USD:
    """At least what a return to the anchor at the next boundary costs above never having left it."""
    intake, tokens = situation.intakes[anchor], foreseen_tokens(situation.call.transcript.tokens, forecast)
    # Whatever is cached at all may be, once the segment has grown to the least that is.
    premium = cold_premium(intake.prices, tokens * intake.scale) if intake.cache.seconds_to_live else 0.0
    return USD(premium + situation.policy.handoff)


def foreseen_tokens(tokens: int, forecast: Forecast) -> int:
    """Tokens of the last request of a segment, as foreseen."""
    return tokens + round((forecast.calls - 1) * forecast.growth)
