"""Trying another model than the policy's own choice, now and then, so that what it would have been worth can be known.

What a policy never chooses, its log knows nothing about. With `policy.explore` a share of the boundaries takes another offer,
uniformly among those that are affordable and allowed, and the decision records the chance of what was taken: its propensity.
From such a log another policy can be valued without being tried (`core.off_policy`).

**The budget.** An offer is affordable if its expected dollars exceed those of the policy's own choice by no more than what is
left of `policy.explore_dollars` in the session. That excess, at least 0, is charged to the session's account. So over a session
the charges never exceed the budget, whatever comes. They are expected dollars, of the segment and of what follows: what is billed
may differ, and a session whose stored row is lost begins with the whole budget again.

**No randomness.** The draw is a hash of facts of the decision: the session's id, the digest of the history up to here, the version
of the policy and the number of the segment. The same request gives the same decision on every replica, at every replay and when it
is asked again, so that nothing is explored twice. Draws count as independent and uniform as far as the hash function behaves like a
random one on facts that differ, and they do: no two boundaries share a session and a number. They are independent of what a model
will make of the question, because nobody chose the text by its hash. Somebody who writes the text and knows the session's id, which
is an HMAC, could: they might steer which model is tried. What that can cost is bounded by the budget. Whoever writes the text and
sees who answered can learn little by trying again: another text is another boundary, and is charged as one.

**What a choice among offers is, and what not.** Exploration never goes where a constraint forbids to: it chooses among offers, which
are of models that are cleared, capable and not held back, and of these within the cap on switching.
"""

from __future__ import annotations

import hashlib
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from session_router.core.decision import Reason
from session_router.core.pricing import NOTHING, USD
from session_router.core.switching import taken, within_cap

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from session_router.core.model import ModelName
    from session_router.core.offer import Offer
    from session_router.core.policy import Policy
    from session_router.core.session import SessionId
    from session_router.core.switching import Standing, Verdict

_DIGEST_BYTES = 8
_DRAWN_BITS = 53
"""As many as a float holds: the draw is below 1."""


_NOBODY: Mapping[ModelName, float] = MappingProxyType({})


class Exploration(NamedTuple):
    """What a boundary takes.

    Attributes:
        verdict: The policy's own choice, or another offer.
        excess: Expected dollars that this is charged with, >= 0.
        propensity: Chance, in (0, 1], with which this model is taken here.
        propensities: That of each model that might have been taken; empty where there was only one.
    """

    verdict: Verdict
    excess: USD = NOTHING
    propensity: float = 1.0
    propensities: Mapping[ModelName, float] = _NOBODY


def draw(session: SessionId, history: bytes, version: str, number: int) -> float:
    """Derive a number in [0, 1) from facts of a decision.

    Args:
        session: Who calls.
        history: Digest of the messages so far. What stands before the first does not count: it may change from call to call.
        version: Of the policy.
        number: Of the segment, from 1.
    """
    facts = "|".join(("exploration", session, history.hex(), version, str(number)))
    drawn = int.from_bytes(hashlib.blake2b(facts.encode(), digest_size=_DIGEST_BYTES).digest())
    return float((drawn >> (8 * _DIGEST_BYTES - _DRAWN_BITS)) / 2**_DRAWN_BITS)


def explore(
    offers: Mapping[ModelName, Offer],
    verdict: Verdict,
    standing: Standing,
    policy: Policy,
    *,
    spent: USD,
    drawn: float,
    forbidden: Collection[ModelName] = (),
) -> Exploration:
    """Take the policy's own choice, or another offer.

    Args:
        offers: By model, those of the models that no constraint forbids.
        verdict: The policy's own choice among them.
        standing: How the session stands.
        policy: The settings.
        spent: What exploration was charged with in this session so far, >= 0.
        drawn: What `draw` says, in [0, 1).
        forbidden: Models that are on offer and must not be tried all the same.
    """
    left = policy.explore_dollars - spent
    if not policy.explore or left <= 0:
        return Exploration(verdict=verdict)
    own = offers[verdict.model].expected
    others = {
        name: excess
        for name in sorted(within_cap(offers, standing, policy))
        if name != verdict.model
        and name not in forbidden
        and spent + (excess := max(0.0, offers[name].expected - own)) <= policy.explore_dollars
    }
    if not others:
        return Exploration(verdict=verdict)
    share = policy.explore / len(others)
    propensities = dict.fromkeys(others, share) | {verdict.model: 1 - policy.explore}
    if drawn >= policy.explore:
        return Exploration(verdict=verdict, propensity=1 - policy.explore, propensities=propensities)
    # Below `explore` the draw is uniform as well. Rounding may lift the quotient to the number of models.
    name = list(others)[min(len(others) - 1, int(drawn / policy.explore * len(others)))]
    return Exploration(
        verdict=taken(offers, standing, name, Reason.EXPLORED), excess=USD(others[name]), propensity=share, propensities=propensities
    )
