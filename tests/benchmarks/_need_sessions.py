"""Recorded sessions routed by a fitted scorer, beside an oracle and the lexical scorer: what knowing so much is worth in the end."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from benchmarks._figure import figure, say
from benchmarks._need_statistics import draws_of, interval_of
from benchmarks._need_statistics import told as intervals_told
from benchmarks._regret_need import NOISE, Oracle, base_rates
from benchmarks._regret_play import bill_of
from session_router import Policy, Router
from session_router.core.need import Need
from session_router.embedders.static import StaticEmbedder
from session_router.fitting import FitSettings, Grade, Graded, fit_outcomes
from session_router.learning import Learner
from session_router.regret import Hindsight, SessionCosts, Terms
from session_router.replay import replay_session
from session_router.scorers.fitted import FittedScorer
from session_router.scorers.lexical import LexicalScorer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from benchmarks._regret_need import BaseRates
    from benchmarks._regret_sources import RecordedSession, Source
    from session_router.core.model import ModelName, ModelSpec
    from session_router.core.need import Question
    from session_router.ports import Scorer

FITTED: Final = "fitted scorer"
LEXICAL: Final = "lexical scorer"
RATES: Final = "base rates"
ORACLE: Final = "oracle"
CALIBRATED: Final = "calibrated oracle"

DIGITS: Final = 4

HOW: Final = (
    "charged for all: the recorded outcome of the task; the scorer is fitted to the sessions of the other fold of tasks, and base rates "
    f"are those of the other fold; the oracle heard the outcome of this task, turned round with probability {NOISE:g}, and says "
    f"{1 - NOISE:g} or {NOISE:g}, calibrated the probability that it stands for; default policy, with the experience of the other fold"
)


class Rates:
    """A scorer that knows how often each model served the other fold, and does not read.

    Args:
        rates: By fold and model.
        fold: Of the sessions that are scored.
    """

    def __init__(self, rates: BaseRates, fold: int) -> None:
        self._rates, self._fold = rates, fold

    def score(self, question: Question, models: Mapping[ModelName, ModelSpec]) -> Mapping[ModelName, Need]:
        """Return the need of every model in `models`."""
        del question
        return {name: Need(p_success=self._rates[self._fold, name]) for name in models}

    async def ascore(self, question: Question, models: Mapping[ModelName, ModelSpec]) -> Mapping[ModelName, Need]:
        """Return the need of every model in `models`."""
        return self.score(question, models)


class Listening:
    """A scorer that keeps what it is asked."""

    def __init__(self) -> None:
        self.asked: list[Question] = []

    def score(self, question: Question, models: Mapping[ModelName, ModelSpec]) -> Mapping[ModelName, Need]:
        """Return the same need for every model in `models`."""
        self.asked.append(question)
        return {name: Need(p_success=0.5) for name in models}

    async def ascore(self, question: Question, models: Mapping[ModelName, ModelSpec]) -> Mapping[ModelName, Need]:
        """Return the same need for every model in `models`."""
        return self.score(question, models)


class Hears(Protocol):
    """Is told which session comes next."""

    def __call__(self, session: RecordedSession) -> None:
        """Hear of `session`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Folds:
    """A scorer for the sessions of each fold.

    Attributes:
        scorers: For fold 0 and for fold 1.
        hears: Told of every session before it is routed.
    """

    scorers: tuple[Scorer, Scorer]
    hears: Hears = field(default=lambda _: None)


def task_of(session: RecordedSession) -> str:
    """Return what was to be done, whatever part of its source the session belongs to: parts share tasks and their texts."""
    return session.task.partition("/")[2]


def asked_in(source: Source) -> dict[str, list[Question]]:
    """Return what a scorer is asked in each session, by the session's line in its file."""
    listening = Listening()
    router = Router({str(name): spec for name, spec in source.models.items()}, scorer=listening)
    found: dict[str, list[Question]] = {}
    for session in source.sessions:
        listening.asked = []
        for _ in replay_session(session.recording, router):
            pass
        found[str(session.recording.line)] = listening.asked
    return found


def fitted_for(source: Source, fold: int, asked: Mapping[str, Sequence[Question]]) -> Scorer:
    """Fit to the sessions of the other fold, without those whose task somebody also does in this one."""
    here = {task_of(session) for session in source.sessions if session.fold == fold}
    graded = [
        Graded(question=question, grades={str(name): Grade(score=session.outcomes[name]) for name in sorted(session.measured)})
        for session in source.sessions
        if session.fold != fold and task_of(session) not in here and session.measured
        for question in asked[str(session.recording.line)]
        if question.text
    ]
    embedder = StaticEmbedder()
    prices = {str(name): spec.prices for name, spec in source.models.items() if spec.prices is not None}
    return FittedScorer(fit_outcomes(graded, embedder, embedder_name="static", settings=FitSettings(prices=prices)).fit, embedder)


def scorers_of(source: Source) -> dict[str, Folds]:
    """Return everyone who is tried on a source."""
    asked, rates = asked_in(source), base_rates(source)
    everyone = {
        FITTED: Folds(scorers=(fitted_for(source, 0, asked), fitted_for(source, 1, asked))),
        LEXICAL: Folds(scorers=(LexicalScorer(), LexicalScorer())),
        RATES: Folds(scorers=(Rates(rates, 0), Rates(rates, 1))),
    }
    for name, told in ((ORACLE, None), (CALIBRATED, rates)):
        oracle = Oracle(draw=0, rates=told)
        everyone[name] = Folds(scorers=(oracle, oracle), hears=_setting(oracle))
    return everyone


def _setting(oracle: Oracle) -> Hears:
    def hears(session: RecordedSession) -> None:
        oracle.session = session

    return hears


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What the sessions cost.

    Attributes:
        own: US dollars of each task: of calls, handoffs and badly served segments.
        optimum: The same, of the best that the locks allow.
        switches: Of models.
        unsafe: Of them, those that broke a lock.
    """

    own: Mapping[str, float]
    optimum: Mapping[str, float]
    switches: int
    unsafe: int

    @property
    def ratio(self) -> float:
        """Total over the optimum's."""
        return sum(self.own.values()) / sum(self.optimum.values())


def routed(source: Source, stake: float, folds: Folds) -> Totals:
    """Route every session: once for experience, which the other fold then has, and once for the bill."""
    routes = {str(name): spec for name, spec in source.models.items()}
    terms = Terms(stake=stake)
    first = [Router(routes, policy=Policy(stake=stake), scorer=scorer) for scorer in folds.scorers]
    learners = [Learner(router) for router in first]
    for session in source.sessions:
        folds.hears(session)
        learners[session.fold].add(list(replay_session(session.recording, first[session.fold])))
    policies = [Policy(stake=stake, experience=learner.experience()) for learner in reversed(learners)]
    routers = [Router(routes, policy=policy, scorer=scorer) for policy, scorer in zip(policies, folds.scorers, strict=True)]
    own, optimum = defaultdict[str, float](float), defaultdict[str, float](float)
    switches = unsafe = 0
    for session in source.sessions:
        folds.hears(session)
        calls = list(replay_session(session.recording, routers[session.fold]))
        truth = SessionCosts(calls, routers[session.fold], _outcomes_of(session))
        bill = bill_of(truth, [one.decision.model for one in calls], terms)
        own[task_of(session)] += bill.total
        optimum[task_of(session)] += bill_of(truth, Hindsight(truth).routing(terms), terms).total
        switches, unsafe = switches + bill.switches, unsafe + bill.unsafe_switches
    return Totals(own=own, optimum=optimum, switches=switches, unsafe=unsafe)


def _outcomes_of(session: RecordedSession) -> Callable[[object], Mapping[ModelName, float]]:
    return lambda _: session.outcomes


def print_sessions(sources: Sequence[Source], stakes: Sequence[float]) -> None:
    """Print every ratio. Sources without outcomes are left out: there is no truth to charge.

    Args:
        sources: The recorded sessions.
        stakes: US dollars that a badly served segment costs.
    """
    for source in sources:
        if not source.has_outcomes:
            continue
        everyone = scorers_of(source)
        say(f"\n{source.name}: {len(source.sessions)} sessions, {source.measured}")
        for stake in stakes:
            _print(source, stake, {name: routed(source, stake, folds) for name, folds in everyone.items()})


def _print(source: Source, stake: float, found: Mapping[str, Totals]) -> None:
    tasks = sorted(found[FITTED].own)
    draws = draws_of(np.arange(len(tasks)))

    def drawn(name: str) -> NDArray[np.float64]:
        totals = found[name]
        own, optimum = (np.array([one[task] for task in tasks]) for one in (totals.own, totals.optimum))
        return np.asarray((draws @ own) / (draws @ optimum), dtype=np.float64)

    ratios = {name: round(totals.ratio, DIGITS) for name, totals in found.items()}
    say(f"  stake {stake}: " + ", ".join(f"{name} {ratio:.4f}" for name, ratio in ratios.items()))
    own = interval_of(drawn(FITTED))
    notes = [intervals_told({name: interval_of(drawn(name)) for name in found if name != FITTED})]
    for name in (LEXICAL, RATES):
        apart = interval_of(drawn(FITTED) - drawn(name))
        doubt = "" if apart.low > 0 or apart.high < 0 else ", not told apart"
        notes.append(f"less {name} {found[FITTED].ratio - found[name].ratio:+.4f} [{apart.low:+.4f}, {apart.high:+.4f}]{doubt}")
    totals = found[FITTED]
    regret = sum(totals.own.values()) - sum(totals.optimum.values())
    notes += [f"regret {regret:.2f} USD over {len(source.sessions)} sessions", f"{totals.switches} switches, {totals.unsafe} unsafe", HOW]
    figure(
        f"ratio_{source.name}_{stake}",
        ratios[FITTED],
        unit="ratio of totals to the optimum",
        n=len(tasks),
        target=f"< {ratios[LEXICAL]}",
        peer={name: ratio for name, ratio in ratios.items() if name != FITTED},
        low=round(own.low, DIGITS),
        high=round(own.high, DIGITS),
        note="; ".join(notes),
    )
