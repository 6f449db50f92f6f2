"""Routes a source's sessions by our router and by every peer, and adds up what each cost."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING, TypeAlias

from benchmarks._regret_need import CALIBRATED, ORACLE, SCORER, Oracle, base_rates
from benchmarks._regret_peers import peers
from benchmarks._regret_sources import failed_before
from session_router import Policy, Router
from session_router.learning import Learner
from session_router.regret import Bill, Hindsight, ScorerChances, SessionCosts, Terms
from session_router.replay import replay_session
from session_router.scorers.lexical import LexicalScorer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from benchmarks._regret_sources import RecordedSession, Source
    from session_router.core.model import ModelName
    from session_router.regret import Routing
    from session_router.replay import ReplayedCall

Key: TypeAlias = tuple[str, str]
"""A routing: its name, and the name of its variant, empty where there is one only."""

OURS: Key = ("session-router", "")
UNLEARNED: Key = ("session-router without experience", "")
OPTIMUM: Key = ("hindsight optimum", "")

DIGITS = 4
RESAMPLES = 400
INTERVAL = 0.95


def _zeros() -> dict[Key, float]:
    return defaultdict[Key, float](float)


@dataclass(slots=True)
class Played:
    """What the sessions of one source cost, by routing.

    Attributes:
        source: The source.
        need: Where need came from.
        variants: By peer, its variants.
        bills: By routing, under the truth.
        heard: By routing, the sum over its segments of the chance that it had heard of the model it took.
        totals: By task, US dollars by routing.
        draws: Draws of noise, over which all of the above are added up.
        calls: Calls, each counted once a draw.
        measured: Of `calls`, those whose tokens were recorded.
    """

    source: Source
    need: str
    variants: Mapping[str, Mapping[str, Routing]]
    bills: dict[Key, Bill] = field(default_factory=lambda: defaultdict[Key, Bill](Bill))
    heard: dict[Key, float] = field(default_factory=_zeros)
    totals: dict[str, dict[Key, float]] = field(default_factory=lambda: defaultdict[str, dict[Key, float]](_zeros))
    draws: int = 0
    calls: int = 0
    measured: int = 0

    def best(self, peer: str) -> Key:
        """Return the variant of a peer with the least total."""
        return min(((peer, variant) for variant in self.variants[peer]), key=lambda key: self.bills[key].total)

    def best_of_all(self) -> Key:
        """Return the variant of any peer with the least total among those that broke no lock."""
        keys = [(peer, variant) for peer, variants in self.variants.items() for variant in variants]
        return min((key for key in keys if not self.bills[key].unsafe_switches), key=lambda key: self.bills[key].total)

    def tied(self) -> list[str]:
        """Name the peers whose best variant has our ratio, as far as it is printed."""
        return [peer for peer in self.variants if self.printed(self.best(peer)) == self.printed(OURS)]

    def printed(self, key: Key) -> float:
        """Return the ratio of a routing as it is printed. Rows are compared by it: what nobody can read is no difference."""
        return round(self.ratio(key), DIGITS)

    def ratio(self, key: Key) -> float:
        """Return the total of a routing over the optimum's."""
        return self.bills[key].total / self.bills[OPTIMUM].total

    def ratios_by_part(self, key: Key) -> dict[str, float]:
        """Return the same for each part of the source."""
        parts: dict[str, dict[Key, float]] = defaultdict(_zeros)
        part_of = {session.task: session.part for session in self.source.sessions}
        for task, totals in self.totals.items():
            for one in (key, OPTIMUM):
                parts[part_of[task]][one] += totals[one]
        return {part: totals[key] / totals[OPTIMUM] for part, totals in parts.items()}

    def intervals(self, peer: Key) -> tuple[tuple[float, float], tuple[float, float]]:
        """Return intervals of our ratio, and of ours less a peer's, by resampling tasks."""
        random = Random(0)
        rows = [(one[OURS], one[peer], one[OPTIMUM]) for one in self.totals.values()]
        ratios: list[float] = []
        differences: list[float] = []
        for _ in range(RESAMPLES):
            drawn = random.choices(rows, k=len(rows))
            optimum = sum(row[2] for row in drawn)
            ratios.append(sum(row[0] for row in drawn) / optimum)
            differences.append(sum(row[0] - row[1] for row in drawn) / optimum)
        return _interval(ratios), _interval(differences)

    def add(self, task: str, calls: Sequence[ReplayedCall], bills: Mapping[Key, Bill]) -> None:
        """Count one session."""
        self.calls += len(calls)
        self.measured += sum(one.measured for one in calls)
        for key, bill in bills.items():
            self.bills[key] = self.bills[key].plus(bill)
            self.totals[task][key] += bill.total


def _interval(values: list[float]) -> tuple[float, float]:
    values.sort()
    tail = round((1 - INTERVAL) / 2 * len(values))
    return values[tail], values[-1 - tail]


def play(source: Source, stake: float, need: str, *, draws: int = 1) -> Played:
    """Route every session of `source` once for every draw of noise.

    Ours has default settings but for the stake. It is tried with the experience of the other fold, and without any. All are
    charged alike: what the oracle has heard is tried against the recorded outcomes, while a probability is charged as such, as
    the mean over what may have been true.
    """
    played = Played(source=source, need=need, variants=peers(source.models, failed_before(source.sessions)))
    rates = base_rates(source) if need == CALIBRATED else None
    for draw in range(1 if need == SCORER else draws):
        _play_draw(played, stake, LexicalScorer() if need == SCORER else Oracle(draw=draw, rates=rates))
    return played


def _play_draw(played: Played, stake: float, scorer: Oracle | LexicalScorer) -> None:
    source, terms = played.source, Terms(stake=stake)
    played.draws += 1
    routes = {str(name): spec for name, spec in source.models.items()}
    unlearned = Router(routes, policy=Policy(stake=stake), scorer=scorer)
    learners = (Learner(unlearned), Learner(unlearned))
    before: list[list[ModelName | None]] = []
    for session, calls in _replayed(source.sessions, (unlearned, unlearned), scorer):
        learners[session.fold].add(calls)
        before.append([one.decision.model for one in calls])
    learned = [Policy(stake=stake, experience=learner.experience()) for learner in reversed(learners)]
    routers = [Router(routes, policy=policy, scorer=scorer) for policy in learned]
    for (session, calls), without in zip(_replayed(source.sessions, routers, scorer), before, strict=True):
        router = routers[session.fold]
        heard = SessionCosts(calls, router, ScorerChances(router))
        truth = SessionCosts(calls, router, _outcomes_of(session)) if played.need == ORACLE else heard
        chosen: dict[Key, Sequence[ModelName | None]] = {
            OPTIMUM: Hindsight(truth).routing(terms),
            OURS: [one.decision.model for one in calls],
            UNLEARNED: without,
        }
        for name, variants in played.variants.items():
            chosen |= {(name, variant): routing(heard, terms) for variant, routing in variants.items()}
        played.add(session.task, calls, {key: bill_of(truth, models, terms) for key, models in chosen.items()})
        for key, models in chosen.items():
            pairs = zip(heard.calls, models, strict=True)
            played.heard[key] += sum(call.chances.get(name, 0.0) for call, name in pairs if call.opens and name)


def _replayed(
    sessions: Iterable[RecordedSession], routers: Sequence[Router], scorer: Oracle | LexicalScorer
) -> Iterator[tuple[RecordedSession, list[ReplayedCall]]]:
    """Replay each session on the router of its fold. The oracle knows of a session until the next one is asked for."""
    for session in sessions:
        if isinstance(scorer, Oracle):
            scorer.session = session
        yield session, list(replay_session(session.recording, routers[session.fold]))


def _outcomes_of(session: RecordedSession) -> Callable[[ReplayedCall], Mapping[ModelName, float]]:
    return lambda _: session.outcomes


def bill_of(costs: SessionCosts, chosen: Sequence[ModelName | None], terms: Terms) -> Bill:
    """Charge a routing as `SessionCosts` does, but for a segment that several models served.

    Such a segment is served badly with the mean chance over its calls, not with that of the model of its first call alone. A
    routing that keeps the locks has no such segment.
    """
    served: dict[int, list[ModelName | None]] = defaultdict(list)
    for call, name in zip(costs.calls, chosen, strict=True):
        served[call.segment].append(name)
    risk = 0.0
    for call in costs.calls:
        if call.opens and call.chances:
            names = served[call.segment]
            risk += sum(1 - call.chances[name] if name else 1.0 for name in names) / len(names)
    return replace(Bill.of(costs.charges(chosen), terms), risk=terms.stake * risk)
