"""What routers hear of need: from the recorded outcomes with noise, or from the scorer of the day."""

from __future__ import annotations

from statistics import mean
from typing import TYPE_CHECKING, Final, TypeAlias

from benchmarks._regret_sources import RecordedSession, Source, digest_of
from session_router.core.need import Need

if TYPE_CHECKING:
    from collections.abc import Mapping

    from session_router.core.model import ModelName, ModelSpec
    from session_router.core.need import Question

ORACLE: Final = "oracle"
"""The recorded outcome with noise, told as 1 - `NOISE` for a success and as `NOISE` for a failure. No probability: it forgets how
rarely some models succeed."""

CALIBRATED: Final = "calibrated"
"""The same hearing, told as the probability that it stands for: by Bayes' rule, with the model's rate of success in the other fold.
As such it is also charged."""

SCORER: Final = "scorer"
"""The scorer of the day; what it says is also taken for the truth, as nothing better is known."""

NOISE = 0.1
"""Share of recorded outcomes that are heard turned round."""

BaseRates: TypeAlias = "Mapping[tuple[int, ModelName], float]"
"""By fold and model: how often the model served a task of the other fold well."""


class Oracle:
    """A scorer that has heard how each model served the task of one session. The text of a question says nothing to it.

    Args:
        draw: Number of the draw of noise.
        rates: Base rates, for it to say probabilities; `None` for it to say what it heard.

    Attributes:
        session: The session that is being routed; set it before.
    """

    def __init__(self, *, draw: int, rates: BaseRates | None) -> None:
        self._draw, self._rates = draw, rates
        self.session: RecordedSession | None = None

    def score(self, question: Question, models: Mapping[ModelName, ModelSpec]) -> Mapping[ModelName, Need]:
        """Return the need of every model in `models`."""
        del question
        return {name: Need(p_success=self.says(name)) for name in models}

    async def ascore(self, question: Question, models: Mapping[ModelName, ModelSpec]) -> Mapping[ModelName, Need]:
        """Return the need of every model in `models`."""
        return self.score(question, models)

    def says(self, name: ModelName) -> float:
        """Return the chance of one model. Where its outcome was not recorded, that is its mean, without noise."""
        session = self.session
        assert session is not None
        if name not in session.measured:
            return session.outcomes[name]
        heard = heard_outcome(session, name, self._draw)
        likely = NOISE + (1 - 2 * NOISE) * heard
        if self._rates is None:
            return likely
        rate = self._rates[session.fold, name]
        return rate * likely / (rate * likely + (1 - rate) * (1 - likely))


def heard_outcome(session: RecordedSession, name: ModelName, draw: int) -> float:
    """Return a recorded outcome, 0 or 1, turned round or not.

    Task, model and draw decide, so that every session of a task and every call of a session hears the same.
    """
    outcome = session.outcomes[name]
    turned = int.from_bytes(digest_of(session.task, name, str(draw))) < NOISE * 2**64
    return 1 - outcome if turned else outcome


def base_rates(source: Source) -> BaseRates:
    """Count successes, every task once and two more tasks, one served well and one badly (Laplace's rule of succession)."""
    rates: dict[tuple[int, ModelName], float] = {}
    for name in source.models:
        outcomes = {session.task: (session.fold, session.outcomes[name]) for session in source.sessions if name in session.measured}
        for fold in (0, 1):
            rates[fold, name] = mean([1.0, 0.0, *(outcome for other, outcome in outcomes.values() if other != fold)])
    return rates
