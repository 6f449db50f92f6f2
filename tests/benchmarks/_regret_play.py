"""Routes a source's sessions by our router and by every peer, and adds up what each cost."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING

from benchmarks._regret_peers import peers
from benchmarks._regret_sources import RecordedSession, Source, digest_of, failed_before
from session_router import Policy, Router
from session_router.core.need import Need
from session_router.learning import Learner
from session_router.regret import Bill, Hindsight, ScorerChances, SessionCosts, Terms
from session_router.replay import replay_session
from session_router.scorers.lexical import LexicalScorer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from session_router.core.model import ModelName, ModelSpec
    from session_router.core.need import Question

OURS = "session-router"
UNLEARNED = "session-router, no experience"
OPTIMUM = "optimum"

NOISE = 0.1
"""Share of recorded outcomes that the oracle turns round. It says 1 - `NOISE` for a success, and `NOISE` for a failure."""

RESAMPLES = 400
INTERVAL = 0.95


class Oracle:
    """A scorer that knows the recorded outcomes, with noise.

    Attributes:
        session: The session that is being routed; set it before.
    """

    def __init__(self) -> None:
        self.session: RecordedSession | None = None

    def score(self, question: Question, models: Mapping[ModelName, ModelSpec]) -> Mapping[ModelName, Need]:
        """Return the need of every model in `models`."""
        del question
        assert self.session is not None
        return {name: Need(p_success=heard(self.session, name)) for name in models}

    async def ascore(self, question: Question, models: Mapping[ModelName, ModelSpec]) -> Mapping[ModelName, Need]:
        """Return the need of every model in `models`."""
        return self.score(question, models)


def heard(session: RecordedSession, name: ModelName) -> float:
    """Return what the oracle says of a model: the outcome with noise where it was recorded, else the model's mean.

    A model and a task decide whether it is turned round, so that every session of the task and every call hears the same.
    """
    outcome = session.outcomes[name]
    if name not in session.measured:
        return outcome
    if int.from_bytes(digest_of(session.task, name)) < NOISE * 2**64:
        outcome = 1 - outcome
    return NOISE + (1 - 2 * NOISE) * outcome


@dataclass(slots=True)
class Played:
    """What the sessions of one source cost, by routing.

    Attributes:
        source: The source.
        stake: US dollars.
        oracle: Whether need came from the oracle, and its truth is charged; else the scorer of the day gives both.
        variants: By peer, the names of its variants.
        bills: By routing; a peer's by the pair of its name and a variant.
        totals: By part and by task, US dollars by routing.
        calls: Calls.
        measured: Of these, those whose tokens were recorded.
    """

    source: Source
    stake: float
    oracle: bool
    variants: Mapping[str, Sequence[str]]
    bills: dict[tuple[str, str], Bill] = field(default_factory=lambda: defaultdict[tuple[str, str], Bill](Bill))
    totals: dict[tuple[str, str], dict[tuple[str, str], float]] = field(
        default_factory=lambda: defaultdict[tuple[str, str], dict[tuple[str, str], float]](lambda: defaultdict[tuple[str, str], float](float))
    )
    calls: int = 0
    measured: int = 0

    def add(self, session: RecordedSession, bills: Mapping[tuple[str, str], Bill]) -> None:
        """Count one session."""
        of_task = self.totals[session.part, session.task]
        for key, bill in bills.items():
            self.bills[key] = self.bills[key].plus(bill)
            of_task[key] += bill.total

    def best_variant(self, peer: str) -> tuple[str, str]:
        """Return the variant of `peer` with the least total."""
        return min(((peer, variant) for variant in self.variants[peer]), key=lambda key: self.bills[key].total)

    def ratio(self, key: tuple[str, str], *, part: str | None = None) -> float:
        """Return the total of a routing over the optimum's, of one part if given."""
        if part is None:
            return self.bills[key].total / self.bills[OPTIMUM, ""].total
        of_part = [totals for (name, _), totals in self.totals.items() if name == part]
        return sum(one[key] for one in of_part) / sum(one[OPTIMUM, ""] for one in of_part)

    def intervals(self, peer: tuple[str, str]) -> tuple[tuple[float, float], tuple[float, float]]:
        """Return intervals of our ratio, and of it less the peer's, by resampling tasks."""
        random, rows = Random(0), [(one[OURS, ""], one[peer], one[OPTIMUM, ""]) for one in self.totals.values()]  # noqa: S311 -- it resamples; nothing is kept secret
        ratios: list[float] = []
        differences: list[float] = []
        for _ in range(RESAMPLES):
            ours, theirs, optimum = map(sum, zip(*random.choices(rows, k=len(rows)), strict=True))
            ratios.append(ours / optimum)
            differences.append((ours - theirs) / optimum)
        return _interval(ratios), _interval(differences)


def _interval(values: list[float]) -> tuple[float, float]:
    values.sort()
    tail = round((1 - INTERVAL) / 2 * len(values))
    return values[tail], values[-1 - tail]


def play(source: Source, stake: float, *, oracle: bool) -> Played:
    """Route every session of `source`.

    Ours has default settings but for the stake. It learns from one fold of the tasks and is tried on the other, and is also
    tried without experience. All are charged alike, by what the truth says and not by what was heard.
    """
    scorer = Oracle() if oracle else LexicalScorer()
    unlearned = Router(source.models, policy=Policy(stake=stake), scorer=scorer)
    learners = (Learner(unlearned), Learner(unlearned))
    before: list[list[ModelName | None]] = []
    for session in _told(source.sessions, scorer):
        calls = list(replay_session(session.recording, unlearned))
        learners[session.fold].add(calls)
        before.append([one.decision.model for one in calls])
    routers = [
        Router(source.models, policy=Policy(stake=stake, experience=learner.experience()), scorer=scorer) for learner in reversed(learners)
    ]
    rules = peers(source.models, failed_before(source.sessions))
    played = Played(source=source, stake=stake, oracle=oracle, variants={name: list(variants) for name, variants in rules.items()})
    terms = Terms(stake=stake)
    for session, unlearned_models in zip(_told(source.sessions, scorer), before, strict=True):
        router = routers[session.fold]
        calls = list(replay_session(session.recording, router))
        seen = SessionCosts(calls, router, ScorerChances(router))
        truth = SessionCosts(calls, router, lambda _, session=session: session.outcomes) if oracle else seen
        models: dict[tuple[str, str], Sequence[ModelName | None]] = {
            (OPTIMUM, ""): Hindsight(truth).routing(terms),
            (OURS, ""): [one.decision.model for one in calls],
            (UNLEARNED, ""): unlearned_models,
        }
        for name, variants in rules.items():
            models |= {(name, variant): routing(seen, terms) for variant, routing in variants.items()}
        played.add(session, {key: bill_of(truth, chosen, terms) for key, chosen in models.items()})
        played.calls += len(calls)
        played.measured += sum(one.measured for one in calls)
    return played


def bill_of(costs: SessionCosts, chosen: Sequence[ModelName | None], terms: Terms) -> Bill:
    """Charge a routing as `SessionCosts` does, but for a segment that several models served.

    Such a segment counts as served badly with the mean chance over its calls, not with that of the model of its first call alone.
    A routing that keeps the locks has no such segment.
    """
    bill = Bill.of(costs.charges(chosen), terms)
    served: dict[int, list[ModelName | None]] = defaultdict(list)
    for call, name in zip(costs.calls, chosen, strict=True):
        served[call.segment].append(name)
    risk = 0.0
    for call in costs.calls:
        if call.opens and call.chances:
            names = served[call.segment]
            risk += sum(1 - call.chances[name] if name else 1.0 for name in names) / len(names)
    return replace(bill, risk=terms.stake * risk)


def _told(sessions: Sequence[RecordedSession], scorer: Oracle | LexicalScorer) -> Iterable[RecordedSession]:
    for session in sessions:
        if isinstance(scorer, Oracle):
            scorer.session = session
        yield session
