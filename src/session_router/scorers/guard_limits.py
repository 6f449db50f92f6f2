"""How much more than the rest of it a whole text may ask for, set from texts that nobody has tampered with."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, inf
from typing import TYPE_CHECKING

from session_router.core.checking import check_number
from session_router.core.need import Question
from session_router.errors import ConfigurationError
from session_router.scorers.windows import WINDOWS, costs_of, jump_of, questions_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from session_router.core.model import ModelName, ModelSpec
    from session_router.ports import Scorer

LEAST_JUMP = 0.01
"""No jump below is an alarm, and none is taken for more than noise."""

FALSE_ALARMS = 0.01
"""Share of clean texts that may raise an alarm."""

UNTOUCHED = 0.5
"""Share of clean jumps that an allowance covers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardLimits:
    """Limits of the jumps, one for each of `windows.WINDOWS`.

    They belong to one scorer and to models of certain prices: another scorer jumps by other amounts.

    Attributes:
        allowances: Jumps that are allowed, >= 0; of a larger one, so much is.
        alarms: Jumps above are an alarm, >= the allowance; nothing of them is allowed.
    """

    allowances: tuple[float, ...]
    alarms: tuple[float, ...]

    def __post_init__(self) -> None:
        """Check the values."""
        for key, limits in (("allowances", self.allowances), ("alarms", self.alarms)):
            if len(limits) != len(WINDOWS):
                raise ConfigurationError(key=key, value=limits, rule=f"give {len(WINDOWS)} numbers, one for each window.")
            for limit in limits:
                check_number(limit, key=key, rule="give numbers in [0, 2].", high=2.0)
        if any(alarm < allowance for allowance, alarm in zip(self.allowances, self.alarms, strict=True)):
            raise ConfigurationError(key="alarms", value=self.alarms, rule="no alarm may be below its allowance.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """A guard of one scorer.

    Attributes:
        limits: Set for it.
        costs: Of the models that it compares, in any one unit: which is the dearer one. All of them are compared at every question,
            whichever are asked about, so that the same question has the same score.
    """

    limits: GuardLimits
    costs: Mapping[ModelName, float]


LEXICAL_LIMITS = GuardLimits(
    allowances=(0.0209, 0.0194, 0.0096, 0.0085, 0.0199),
    alarms=(0.3602, 0.3397, 0.2757, 0.2193, 0.3549),
)
"""For `LexicalScorer` and two models without a stated skill, by `limits_from` with its defaults.

Set on 10,000 questions of MMLU and GSM8K; of 5,361 others, 0.7 % raised an alarm and 57 % were capped: an
allowance is the middle one of the clean jumps.
"""


def limits_from(
    scorer: Scorer,
    models: Mapping[ModelName, ModelSpec],
    texts: Sequence[str],
    *,
    false_alarms: float = FALSE_ALARMS,
    untouched: float = UNTOUCHED,
) -> GuardLimits:
    """Set limits from texts that nobody has tampered with.

    One half of the texts says how the windows' alarms compare, the other half how high they stand: so that of texts like these, one more
    raises an alarm with a chance of at most `false_alarms` (split conformal prediction; V. Vovk, A. Gammerman and G. Shafer,
    "Algorithmic Learning in a Random World", 2005). It says nothing about texts of another kind.

    Args:
        scorer: Whose scores are guarded.
        models: Those that it will be asked about.
        texts: Shuffled: what users typed, such as they will type. Those too short for windows count as without alarm.
        false_alarms: Share of clean texts that may raise an alarm, in (0, 1).
        untouched: Share of clean jumps that an allowance covers, for each window, in [0, 1 - false_alarms]. More changes fewer
            clean scores, and lets more of an attack through.

    Raises:
        ConfigurationError: There are too few texts, or a share is out of its range.
    """
    # Before the first text is scored: it takes a while.
    _check(len(texts), false_alarms=false_alarms, untouched=untouched)
    return limits_of([jumps_of(scorer, models, text) for text in texts], false_alarms=false_alarms, untouched=untouched)


def limits_of(jumps: Sequence[Sequence[float]], *, false_alarms: float = FALSE_ALARMS, untouched: float = UNTOUCHED) -> GuardLimits:
    """Do what `limits_from` does, from the jumps of its texts.

    Args:
        jumps: Of each text, one for each window.
        false_alarms: As there.
        untouched: As there.

    Raises:
        ConfigurationError: As there.
    """
    _check(len(jumps), false_alarms=false_alarms, untouched=untouched)
    first, second = jumps[::2], jumps[1::2]
    columns = [sorted(column) for column in zip(*first, strict=True)]
    scales = [max(LEAST_JUMP, _quantile(column, 1 - false_alarms)) for column in columns]
    worst = sorted(max(jump / scale for jump, scale in zip(row, scales, strict=True)) for row in second)
    factor = max(0.0, _quantile(worst, 1 - false_alarms))
    alarms = [max(LEAST_JUMP, factor * scale) for scale in scales]
    allowances = [max(0.0, min(alarm, _quantile(column, untouched))) for alarm, column in zip(alarms, columns, strict=True)]
    # Upwards: what was just allowed stays so.
    return GuardLimits(allowances=tuple(map(_rounded_up, allowances)), alarms=tuple(map(_rounded_up, alarms)))


def least_texts(false_alarms: float = FALSE_ALARMS) -> float:
    """Return how many texts it takes at least; endless for no false alarm at all."""
    return 2 * ceil(1 / false_alarms) if false_alarms else inf


def _check(texts: int, *, false_alarms: float, untouched: float) -> None:
    check_number(false_alarms, key="false_alarms", rule="give a share in (0, 1).", below=1.0)
    least = least_texts(false_alarms)
    if texts < least:
        raise ConfigurationError(key="texts", value=texts, rule=f"give at least {least} for that share of false alarms.")
    check_number(untouched, key="untouched", rule="give a share in [0, 1 - false_alarms].", high=1 - false_alarms)


def jumps_of(scorer: Scorer, models: Mapping[ModelName, ModelSpec], text: str) -> tuple[float, ...]:
    """Return the jump of `text` over its rest without each window; zeros for one too short."""
    costs, scores = costs_of(models), [scorer.score(question, models) for question in questions_of(Question(text=text, turn=1))]
    whole, *rests = ({name: needs[name].p_success for name in models} for needs in scores)
    return tuple(jump_of(whole, rest, costs) for rest in rests) or (0.0,) * len(WINDOWS)


def _quantile(ordered: Sequence[float], share: float) -> float:
    """Return the value that one more of the same kind stays at or below with a chance of at least `share`."""
    return ordered[min(len(ordered), ceil((len(ordered) + 1) * share)) - 1] if ordered else 0.0


def _rounded_up(value: float) -> float:
    return min(2.0, ceil(value * 1e4) / 1e4)
