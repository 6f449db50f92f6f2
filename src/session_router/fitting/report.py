"""What a fit is worth, on outcomes that it was not fitted to."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from session_router.core.model import ModelName
    from session_router.core.risk import Certificate
    from session_router.fitting.calibration import Bin
    from session_router.fitting.savings import Savings


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """How good the fit would be with fewer outcomes.

    Attributes:
        share: Of the outcomes that are fitted to.
        outcomes: Their number.
        auc: Area under the ROC curve, on all held-out outcomes; `None` where only one kind was held out.
        brier: Mean squared error there.
    """

    share: float
    outcomes: int
    auc: float | None
    brier: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelReport:
    """What the fit knows of one model.

    Attributes:
        model: Its name.
        fitted: Outcomes that it was fitted to.
        held_out: Outcomes that the figures rest on.
        served: Share of these that was served well; `None` where there are none.
        auc: Area under the ROC curve; `None` where only one kind was held out.
        brier: Mean squared error of the chances.
        calibration_error: Mean distance between predicted and observed shares.
        ridge: That cross-validation chose; `None` where there was nothing to tell apart.
        bins: Predicted and observed shares, by chance.
        curve: With fewer outcomes, and with all.
        dollars: Mean US dollars of a segment; `None` when not known.
        certificate: Where it may stand in for the reference.
    """

    model: ModelName
    fitted: int
    held_out: int
    served: float | None
    auc: float | None
    brier: float | None
    calibration_error: float | None
    ridge: float | None
    bins: tuple[Bin, ...]
    curve: tuple[CurvePoint, ...]
    dollars: float | None
    certificate: Certificate | None

    def to_plain(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        plain = asdict(self)
        plain["bins"] = [asdict(one) for one in self.bins]
        plain["curve"] = [asdict(one) for one in self.curve]
        plain["certificate"] = None if self.certificate is None else self.certificate.to_plain()
        return plain


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardedModel:
    """How good the chances of one model are under the guard, on the questions that certify.

    Attributes:
        model: Its name.
        auc: As in `ModelReport`.
        brier: Likewise.
        calibration_error: Likewise.
    """

    model: ModelName
    auc: float | None
    brier: float | None
    calibration_error: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardReport:
    """What the guard does to questions that nobody has tampered with.

    Attributes:
        texts: Held-out prompts that set the limits.
        questions: The other held-out questions: what is said here, and certified, rests on these.
        alarms: Share of these that raises an alarm.
        capped: Share of these that is not taken at its word.
        models: Figures of each.
    """

    texts: int
    questions: int
    alarms: float
    capped: float
    models: tuple[GuardedModel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a fit is worth.

    Attributes:
        method: `blend` or `logistic`.
        nearest: Similar questions that are looked at, a number that cross-validation chose; `None` for `logistic`.
        questions: Fitted to, and held out.
        repeated: Held-out questions that were left out, because they are the same as another.
        left_out: Models with too few outcomes, with their number.
        reference: The model that the cheaper ones are to stand in for.
        alpha: Largest share of under-served segments that a certificate allows.
        delta: Chance that a certificate is wrong.
        models: One report each, by name.
        guard: What the guard does, or why there is none.
        savings: What choosing by the certificates would have cost; `None` when costs are not known.
    """

    method: str
    nearest: int | None
    questions: tuple[int, int]
    repeated: int
    left_out: tuple[tuple[str, int], ...]
    reference: ModelName
    alpha: float
    delta: float
    models: tuple[ModelReport, ...]
    guard: GuardReport | str
    savings: Savings | None

    def to_plain(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        fitted, held_out = self.questions
        return {
            "method": self.method,
            "nearest": self.nearest,
            "questions": {"fitted": fitted, "held_out": held_out, "repeated": self.repeated},
            "left_out": dict(self.left_out),
            "reference": self.reference,
            "alpha": self.alpha,
            "delta": self.delta,
            "models": [model.to_plain() for model in self.models],
            "guard": self.guard if isinstance(self.guard, str) else asdict(self.guard),
            "savings": None if self.savings is None else asdict(self.savings),
        }
