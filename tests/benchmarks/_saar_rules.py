"""The baselines on the SAAR workload.

The rules and parameters of full SAAR are those of the policy `acr-full` in vllm-project/semantic-router,
`bench/agentic_routing_experiment.py`, commit 80e6c63. The code is our own.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

from benchmarks._saar_workload import MODELS, Model, Phase, Session, cached_share, call_dollars, shortfall, turn_total

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks._saar_serving import Learner, Policy, Seen

SWITCH_THRESHOLD = 0.05  # quality that a switch has to gain in any case
CONTINUITY_WEIGHT = 0.20
FRONTIER_WEIGHT = 1.6
FATIGUE_WEIGHT = 0.04
FATIGUE_SWITCHES = 8  # switches at which a session is as tired of them as it gets
LONG_HISTORY = 16_000  # tokens at which a history alone speaks for staying with full weight
LONG_REMAINDER = 8.0  # turns still expected, likewise


def unlearned(policy: Policy) -> Learner:
    """Make a learner of a policy that needs neither other sessions nor a stake."""

    def learn(others: Sequence[Session], stake: float) -> Policy:
        del others, stake
        return policy

    return learn


def single_turn(seen: Seen) -> Model:
    """Serve what each turn asks for. Knows no locks."""
    return seen.now.asked


def locks_only(seen: Seen) -> Model:
    """Serve what a turn asks for, unless the session is locked."""
    return seen.current if seen.locked else seen.now.asked


def sticky(seen: Seen) -> Model:
    """Stay with what the first turn asked for."""
    return seen.current if seen.before else seen.now.asked


def always(model: Model) -> Policy:
    """Return the policy that knows one model."""
    return lambda _: model


def look_ahead(horizon: int) -> Learner:
    """Return a policy that takes the next turns to be like this one.

    It chooses the model with the least total over `horizon` turns, of which the first may be a switch.

    Args:
        horizon: Number of turns, this one included.
    """

    def learn(others: Sequence[Session], stake: float) -> Policy:
        del others

        def choose(seen: Seen) -> Model:
            def total(model: Model) -> float:
                first = turn_total(seen.now, seen.current, model, stake)
                return first + (horizon - 1) * turn_total(seen.now, model, model, stake)

            return seen.current if seen.locked else min(MODELS, key=total)

        return choose

    return learn


def learned_look_ahead(horizon: int) -> Learner:
    """Return a policy that learns from other sessions what the next turns will ask for.

    What is asked for is taken to be a Markov chain; tokens stay those of this turn, and so does the model.

    Args:
        horizon: Number of turns, this one included.
    """

    def learn(others: Sequence[Session], stake: float) -> Policy:
        later = _later_shortfall(others, horizon)

        def choose(seen: Seen) -> Model:
            def total(model: Model) -> float:
                stay = call_dollars(seen.now, model, cached_share(seen.now, model, switched=False))
                first = turn_total(seen.now, seen.current, model, stake)
                return first + (horizon - 1) * stay + stake * later[seen.now.asked, model]

            return seen.current if seen.locked else min(MODELS, key=total)

        return choose

    return learn


def _later_shortfall(sessions: Sequence[Session], horizon: int) -> dict[tuple[Model, Model], float]:
    """Return the expected shortfall over the `horizon - 1` turns after one that asked for the first model, served by the second."""
    pairs = Counter((one.asked, other.asked) for session in sessions for one, other in pairwise(session.turns))
    follows = {(one, other): pairs[one, other] / sum(pairs[one, any_] for any_ in MODELS) for one in MODELS for other in MODELS}
    later = dict.fromkeys(follows, 0.0)
    for _ in range(horizon - 1):
        later = {
            (one, served): sum(follows[one, other] * (shortfall(other, served) + later[other, served]) for other in MODELS)
            for one, served in later
        }
    return later


def full_saar(session: Session) -> Policy:
    """Return SAAR's full policy for one session.

    It is told what no other policy here sees: the turns before which this session rested, and how many turns its scenario
    makes one expect. Its rules, in order:

    1. The first turn: serve what it asks for.
    2. Tool loop or provider state: stay.
    3. A new topic, or the session rested: serve what the turn asks for.
    4. Otherwise change to what the turn asks for if that gains more quality than `_resistance`. A weaker model gains none.
    """

    def choose(seen: Seen) -> Model:
        index = len(seen.before)
        if seen.locked:
            return seen.current
        if index == 0 or seen.now.phase is Phase.TOPIC_DRIFT or index in session.idle:
            return seen.now.asked
        gain = seen.now.asked.quality - seen.current.quality
        return seen.now.asked if gain > _resistance(seen, turns_left=session.scenario.turns_prior - index) else seen.current

    return choose


def _resistance(seen: Seen, *, turns_left: float) -> float:
    """Return the quality that SAAR wants for a switch.

    It grows with what speaks for a long continuation (history or turns still expected, whichever says more) times the
    warmth of the current model's cache, with the dearest cache among the two models, and with the switches so far.
    """
    continuation = max(_clamp(seen.now.history / LONG_HISTORY), _clamp(turns_left / LONG_REMAINDER))
    warmth = cached_share(seen.now, seen.current, switched=False)
    dearest = max(_cache_worth(seen.current), _cache_worth(seen.now.asked)) / max(map(_cache_worth, MODELS))
    tiredness = min(1.0, seen.switches / FATIGUE_SWITCHES)
    return SWITCH_THRESHOLD + CONTINUITY_WEIGHT * continuation * warmth * (1 + FRONTIER_WEIGHT * dearest) + FATIGUE_WEIGHT * tiredness


def _cache_worth(model: Model) -> float:
    """US dollars that 1,000,000 cached tokens save."""
    return model.input - model.cached_input


def _clamp(value: float) -> float:
    return min(1.0, max(0.0, value))
