"""Whether a stratum of the semantic cache may serve: a certificate by betting, valid at any time that one looks.

Would-be hits are audited one by one. Against the claim "at least a share `wrong` of them is wrong" one bets a part of a capital
of 1. If the claim is true, nobody gets rich by betting against it: the chance that the capital ever reaches x is at most 1 / x
(J. Ville, "Etude critique de la notion de collectif", 1939). So one may look after every audit, and stop when one likes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf, log, log1p
from typing import TYPE_CHECKING, Any, Final, cast

from session_router.core.checking import LARGEST_COUNT, check_kind, check_number
from session_router.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

SCORE_EDGES: Final = (0.9, 0.97, 0.985, 0.992)
"""A score of a pair verifier falls into the bin of the last edge that it reaches."""

SCORE_BINS: Final = len(SCORE_EDGES)
"""Strata of one category and one verifier."""

PRIOR_SHARE: Final = 0.2
"""Before any audit, hits are taken to be wrong with this part of the share that is allowed: a first mishap must not end it all."""

PRIOR_AUDITS: Final = 0.5
"""That belief weighs as many entries as these, divided by the share that is allowed."""

HARM: Final = 3.0
"""The mirror process looks for strata in which so many times as many answers are wrong as may be."""

_SHARE_RULE = "give a share in (0, 1)."


def score_bin(score: float) -> int | None:
    """Return the bin of a score, from 0; `None` when it is below every bin, or no number: the pair is no would-be hit."""
    return next((place for place in range(SCORE_BINS - 1, -1, -1) if score >= SCORE_EDGES[place]), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stratum:
    """Would-be hits that are certified together. What it names and what changes with it starts again.

    Attributes:
        category: What the answers are about, as the user's settings name it.
        verifier: Version of the pair verifier, with whatever else must be the same: the embedder, the class of models.
        score_bin: Bin of the verifier's score, from 0.
    """

    category: str
    verifier: str
    score_bin: int

    def __post_init__(self) -> None:
        """Check the values: a row keeps them."""
        check_kind(self.category, str, key="stratum.category", rule="name a category.")
        check_kind(self.verifier, str, key="stratum.verifier", rule="name the version of a verifier.")
        check_number(self.score_bin, key="stratum.score_bin", rule=f"give a bin, below {SCORE_BINS}.", below=SCORE_BINS, whole=True)

    def to_plain(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {"category": self.category, "verifier": self.verifier, "score_bin": self.score_bin}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Stratum:
        """Read back what `to_plain` wrote.

        Raises:
            ConfigurationError: It is something else.
        """
        return cls(**_known(plain, "stratum", ("category", "verifier", "score_bin")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a certificate promises.

    Attributes:
        wrong: The share of wrong answers per hit that is allowed, in (0, 1).
        strata: How many strata there may ever be under this target, >= 1. It is fixed beforehand; more must not be opened.
        mistakes: Chance that any of their certificates is wrong, in (0, 1).
        judge_error: Upper bound of the share of audits in which the judge passes a wrong answer, in [0, 1). It is subtracted from
            `wrong`; where nothing is left, nothing is ever certified.
        between_false_alarms: Audits from one false alarm to the next in a stratum that is just good enough, in the mean, at least; > 1.
    """

    wrong: float
    strata: int
    mistakes: float = 0.05
    judge_error: float = 0.0
    between_false_alarms: float = 10_000.0

    def __post_init__(self) -> None:
        """Check the values."""
        for key, share in (("wrong", self.wrong), ("mistakes", self.mistakes)):
            check_number(share, key=f"target.{key}", rule=_SHARE_RULE, below=1.0)
            if share <= 0:
                raise ConfigurationError(key=f"target.{key}", value=share, rule=_SHARE_RULE)
        check_number(self.judge_error, key="target.judge_error", rule="give a share in [0, 1).", below=1.0)
        check_number(self.strata, key="target.strata", rule="give a number of strata, 1 or more.", low=1, high=LARGEST_COUNT, whole=True)
        check_number(self.between_false_alarms, key="target.between_false_alarms", rule="give a number of audits above 1.", low=1.0)
        if self.alarm <= 0:
            raise ConfigurationError(
                key="target.between_false_alarms", value=self.between_false_alarms, rule="give a number of audits above 1."
            )

    @property
    def judged_wrong(self) -> float:
        """The share of audits that may be judged wrong: `wrong` without the judge's own error. Nothing is left at 0 or less."""
        return self.wrong - self.judge_error

    @property
    def needed(self) -> float:
        """The logarithm of the capital that certifies: of strata / mistakes, so that all strata together are wrong that seldom."""
        return log(self.strata / self.mistakes)

    @property
    def alarm(self) -> float:
        """The evidence of harm that closes a stratum."""
        return log(self.between_false_alarms)

    def to_plain(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {
            "wrong": self.wrong,
            "strata": self.strata,
            "mistakes": self.mistakes,
            "judge_error": self.judge_error,
            "between_false_alarms": self.between_false_alarms,
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Target:
        """Read back what `to_plain` wrote.

        Raises:
            ConfigurationError: It is something else.
        """
        return cls(**_known(plain, "target", ("wrong", "strata", "mistakes", "judge_error", "between_false_alarms")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """One would-be hit that a judge has looked at.

    Attributes:
        wrong: How wrong the cached answer would have been, in [0, 1].
        earlier: Audits of the same entry before this one.
    """

    wrong: float
    earlier: int = 0

    def __post_init__(self) -> None:
        """Check the values."""
        check_number(self.wrong, key="audit.wrong", rule="give a number in [0, 1].", high=1.0)
        check_number(self.earlier, key="audit.earlier", rule="give a number of audits.", high=LARGEST_COUNT, whole=True)

    @property
    def weight(self) -> float:
        """What it counts among those of its entry: the first one, the second a half, and so on."""
        return 1 / (1 + self.earlier)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wager:
    """What the audits of one stratum have shown.

    With delta for `Target.judged_wrong` and L for the label of an audit, the capital is multiplied by 1 + lambda (delta - L), where
    lambda in [0, 1 / (1 - delta)) is fixed before L is known (I. Waudby-Smith and A. Ramdas, "Estimating means of bounded random
    variables by betting", JRSS B, 2023). lambda is (delta - e) / (delta (1 - delta)): that which makes the capital grow fastest if a
    share e is wrong (J. L. Kelly, 1956), e being the mean of the labels so far and of a prior.

    **Audits of one entry are not independent**: once an entry is known to be good, its next audit is no risk, and a bet on it would
    be a sure gain. So only the first audit of an entry can raise the capital. A later one that finds a mistake lowers it, by the
    weight of that audit; whatever audits of one entry have to do with one another, the capital is never more than that of the first
    audits alone, and Ville's inequality holds. What is certified is thus the share among entries, as audits meet them: audit a hit
    without regard to what is thought of it.

    Harm is watched by the mirror process, which bets on "more than a share delta is wrong", by all audits at their weights, and
    never falls below a capital of 1: a stratum that went well for long must not take as long to be found out (an e-detector, with a
    mean time to a false alarm of at least the capital that raises it: J. Shin, A. Ramdas and A. Rinaldo, "E-detectors", 2023).

    Both verdicts last. A new embedder, verifier, class of models or target is a new stratum.

    Attributes:
        target: What is promised.
        audits: Audits so far.
        entries: How many of them were the first of an entry.
        wrong: Sum of the labels of those first audits.
        evidence: Logarithm of the capital.
        harm: Logarithm of the capital of the mirror process, >= 0.
        certified: Whether the capital has ever been large enough.
        closed: Whether there has been evidence of harm.
    """

    target: Target
    audits: int = 0
    entries: int = 0
    wrong: float = 0.0
    evidence: float = 0.0
    harm: float = 0.0
    certified: bool = False
    closed: bool = False

    def __post_init__(self) -> None:
        """Check the values: a row keeps them."""
        check_kind(self.target, Target, key="wager.target", rule="give a `Target`.")
        for key, value in (("audits", self.audits), ("entries", self.entries)):
            check_number(value, key=f"wager.{key}", rule="give a number of audits.", high=LARGEST_COUNT, whole=True)
        check_number(self.entries, key="wager.entries", rule="there are no more first audits than audits.", high=self.audits)
        check_number(self.wrong, key="wager.wrong", rule="give a sum of labels of first audits.", high=self.entries)
        check_number(self.harm, key="wager.harm", rule="give a logarithm, 0 or more.")
        check_number(self.evidence, key="wager.evidence", rule="give a logarithm.", low=-inf)
        for key, flag in (("certified", self.certified), ("closed", self.closed)):
            check_kind(flag, bool, key=f"wager.{key}", rule="say yes or no.")

    @property
    def serves(self) -> bool:
        """Whether hits of this stratum may be served."""
        return self.certified and not self.closed

    @property
    def needed(self) -> float:
        """The evidence that certifies."""
        return self.target.needed

    def observed(self, audit: Audit) -> Wager:
        """Return this wager after one more audit."""
        delta, first = self.target.judged_wrong, audit.earlier == 0
        counted = replace(
            self,
            audits=min(LARGEST_COUNT, self.audits + 1),
            entries=min(LARGEST_COUNT, self.entries + first),
            wrong=self.wrong + (audit.wrong if first else 0.0),
        )
        if delta <= 0:
            return counted
        gain = delta - audit.wrong if first else -(1 - delta) * audit.wrong * audit.weight
        evidence = self.evidence + log1p(self._stake(delta) * gain)
        harm = max(0.0, self.harm + log1p(_stake_on_harm(delta) * audit.weight * (audit.wrong - delta)))
        return replace(
            counted,
            evidence=evidence,
            harm=harm,
            certified=self.certified or evidence >= self.needed,
            closed=self.closed or harm >= self.target.alarm,
        )

    def _stake(self, delta: float) -> float:
        """Return lambda for the next audit, in [0, 1 / (1 - delta)): it rests on the audits before it alone."""
        prior = PRIOR_AUDITS / delta
        expected = (prior * PRIOR_SHARE * delta + self.wrong) / (prior + self.entries)
        return max(0.0, (delta - expected) / (delta * (1 - delta)))

    def to_plain(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {
            "target": self.target.to_plain(),
            "audits": self.audits,
            "entries": self.entries,
            "wrong": self.wrong,
            "evidence": self.evidence,
            "harm": self.harm,
            "certified": self.certified,
            "closed": self.closed,
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Wager:
        """Read back what `to_plain` wrote.

        Raises:
            ConfigurationError: It is something else.
        """
        known = _known(plain, "wager", ("target", "audits", "entries", "wrong", "evidence", "harm", "certified", "closed"))
        target = Target.from_plain(known.pop("target"))
        return cls(target=target, **known)


def _stake_on_harm(delta: float) -> float:
    """Return the bet of the mirror process: it grows fastest where `HARM` times as many are wrong as may be."""
    return min((HARM - 1) / (1 - delta), 0.5 / delta)


def _known(plain: object, name: str, keys: Sequence[str]) -> dict[str, Any]:
    known: dict[str, Any] = dict(cast("Mapping[str, Any]", plain)) if isinstance(plain, Mapping) else {}
    if set(known) != set(keys):
        raise ConfigurationError(key=name, value=sorted(known), rule=f"give exactly {', '.join(f'`{key}`' for key in keys)}.")
    return known
