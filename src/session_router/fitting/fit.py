"""The whole fit: split, train, hold against what was held out, certify.

fitted = fit_outcomes(list_of_graded, StaticEmbedder(), embedder_name="static")
Path("scorer.json").write_text(scorer_text(fitted.fit))
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from session_router.core.checking import check_number
from session_router.core.model import ModelName
from session_router.core.risk import Held, certify
from session_router.errors import ConfigurationError
from session_router.fitting.calibration import reliability_of
from session_router.fitting.guarding import Guarded, Windowed, guard_of, guard_texts
from session_router.fitting.measures import area_under_curve, brier_score, calibration_error
from session_router.fitting.report import CurvePoint, GuardedModel, GuardReport, ModelReport, Report
from session_router.fitting.savings import savings_of
from session_router.fitting.table import Table, table_of
from session_router.fitting.training import Method, Trained, train
from session_router.scorers.fit import Fit, FittedModel
from session_router.scorers.predictors import UNKNOWN, BlendPredictor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from session_router.core.pricing import Prices
    from session_router.core.risk import Certificate
    from session_router.fitting.outcomes import Graded
    from session_router.ports import Embedder

LEAST_OUTCOMES: Final = 20
"""Outcomes that a model must be fitted to; one with fewer is left out."""

CURVE: Final = (0.1, 0.3)
"""Shares of the outcomes for the learning curve, besides all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FitSettings:
    """How to fit.

    Attributes:
        method: How chances are predicted.
        reference: The model that the cheaper ones are to stand in for; `None` for the one that serves most segments well.
        alpha: Largest share of under-served segments that a certificate allows, in [0, 1).
        delta: Chance that a certificate may be wrong, in (0, 1).
        seed: Of the split.
        prices: By model, US dollars per 1,000,000 tokens, for outcomes without a cost.
        guard: Whether to set limits against texts of which a part speaks for all, where there are prompts enough; the certificates
            are then about the guarded scorer.
    """

    method: Method = Method.BLEND
    reference: str | None = None
    alpha: float = 0.1
    delta: float = 0.05
    seed: int = 0
    prices: Mapping[str, Prices] = field(default_factory=dict[str, "Prices"])
    guard: bool = True

    def __post_init__(self) -> None:
        """Check the values."""
        check_number(self.alpha, key="alpha", rule="give a share in [0, 1).", below=1.0)
        check_number(self.delta, key="delta", rule="give a chance in (0, 1).", low=np.nextafter(0, 1), below=1.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fitted:
    """What came out.

    Attributes:
        fit: For a `FittedScorer`.
        report: How good it is.
    """

    fit: Fit
    report: Report


def fit_outcomes(graded: Sequence[Graded], embedder: Embedder, *, embedder_name: str = "", settings: FitSettings | None = None) -> Fitted:
    """Fit a scorer. The same outcomes and settings give the same fit.

    Args:
        graded: The outcomes.
        embedder: Makes the vectors.
        embedder_name: What a configuration calls a built-in embedder; empty for another one.
        settings: How.

    Raises:
        ConfigurationError: There are too few outcomes, or different prompts, or none of the reference.
        EmbedderError: There is no vector for a text.
    """
    settings = settings or FitSettings()
    if not graded:
        raise ConfigurationError(key="outcomes", value=0, rule="there is nothing to fit to.")
    table = table_of(graded, embedder, seed=settings.seed, prices=settings.prices)
    if not len(table.held_out):
        rule = "none of them is held out to measure by: give more different prompts, or another seed."
        raise ConfigurationError(key="outcomes", value=len(graded), rule=rule)
    counts = (table.served[:, table.training] != UNKNOWN).sum(axis=1)
    models = [model for model in range(len(table.names)) if counts[model] >= LEAST_OUTCOMES]
    if not models:
        rule = f"no model has {LEAST_OUTCOMES} outcomes to fit to, besides those that are held out; give more."
        raise ConfigurationError(key="outcomes", value=len(graded), rule=rule)
    reference = _reference(table, models, settings.reference)
    trained = train(table, table.training, models, settings.method)
    chances = trained.chances(table.vectors[table.held_out], table.features[table.held_out]).T
    dollars = table.mean_dollars()
    windowed = Windowed(names=[ModelName(table.names[model]) for model in models], trained=trained, embedder=embedder)
    columns = guard_texts(table)
    guard = guard_of(table, columns, windowed, dollars[models].tolist()) if settings.guard else "nobody asked for it"
    # Those that certify, and the chances that will be used.
    certifying, used = table.held_out, chances
    guard_report: GuardReport | str
    if isinstance(guard, str):
        guard_report = guard
    else:
        certifying = np.setdiff1d(table.held_out, columns)
        guarded = Guarded.of(guard, windowed, table.asked(certifying))
        used, guard_report = guarded.chances, _guard_report(table, models, certifying, guarded, texts=len(columns))
    certificates = _certificates(table, models, certifying, used, reference, settings)
    curves = _curves(table, models, trained, chances, settings.method)
    fitted: list[FittedModel] = []
    reports: list[ModelReport] = []
    for place, model in enumerate(models):
        known = table.served[model, table.held_out] != UNKNOWN
        said, served = chances[place, known], table.served[model, table.held_out][known].astype(np.float64)
        reliability, bins = reliability_of(said, served)
        name = ModelName(table.names[model])
        fitted.append(
            FittedModel(
                name=name,
                slope=trained.slopes[place],
                intercept=trained.intercepts[place],
                reliability=reliability,
                certificate=certificates[place],
                outcomes=trained.outcomes[place],
            )
        )
        reports.append(
            ModelReport(
                model=name,
                fitted=trained.outcomes[place],
                held_out=len(said),
                served=float(served.mean()) if len(said) else None,
                auc=area_under_curve(said, served),
                brier=brier_score(said, served) if len(said) else None,
                calibration_error=calibration_error(bins) if len(said) else None,
                ridge=trained.ridges[place],
                bins=bins,
                curve=curves[place],
                dollars=None if np.isnan(dollars[model]) else float(dollars[model]),
                certificate=certificates[place],
            )
        )
    report = Report(
        method=settings.method.value,
        nearest=_nearest(trained),
        questions=(len(table.training), len(table.held_out)),
        repeated=table.repeated,
        left_out=tuple((table.names[model], int(counts[model])) for model in range(len(table.names)) if model not in models),
        reference=ModelName(table.names[reference]),
        alpha=settings.alpha,
        delta=settings.delta,
        models=tuple(reports),
        guard=guard_report,
        savings=savings_of(
            table.served[models][:, certifying],
            table.dollars[models][:, certifying],
            used,
            certificates,
            reference=models.index(reference),
        ),
    )
    fit = Fit(
        embedder=embedder_name,
        fingerprint=embedder.fingerprint,
        dimension=embedder.dimension,
        predictor=trained.predictor,
        models=tuple(fitted),
        reference=report.reference,
        guard=None if isinstance(guard, str) else guard,
    )
    return Fitted(fit=fit, report=report)


def _reference(table: Table, models: Sequence[int], asked: str | None) -> int:
    """Return the row of the reference."""
    names = [table.names[model] for model in models]
    if asked is not None:
        if asked not in names:
            rule = f"there are not {LEAST_OUTCOMES} outcomes of it to fit to; choose one of {', '.join(f'`{name}`' for name in names)}."
            raise ConfigurationError(key="reference", value=asked, rule=rule)
        return models[names.index(asked)]
    served = table.served[:, table.training]
    shares = [float((served[model] == 1).sum() / (served[model] != UNKNOWN).sum()) for model in models]
    return models[int(np.argmax(shares))]


def _nearest(trained: Trained) -> int | None:
    return trained.predictor.neighbours.nearest if isinstance(trained.predictor, BlendPredictor) else None


def _guard_report(table: Table, models: Sequence[int], columns: NDArray[np.intp], guarded: Guarded, *, texts: int) -> GuardReport:
    figures: list[GuardedModel] = []
    for place, model in enumerate(models):
        known = table.served[model, columns] != UNKNOWN
        said, served = guarded.chances[place, known], table.served[model, columns][known].astype(np.float64)
        figures.append(
            GuardedModel(
                model=ModelName(table.names[model]),
                auc=area_under_curve(said, served),
                brier=brier_score(said, served) if len(said) else None,
                calibration_error=calibration_error(reliability_of(said, served)[1]) if len(said) else None,
            )
        )
    return GuardReport(texts=texts, questions=len(columns), alarms=guarded.alarms, capped=guarded.capped, models=tuple(figures))


def _certificates(
    table: Table,
    models: Sequence[int],
    columns: NDArray[np.intp],
    chances: NDArray[np.float64],
    reference: int,
    settings: FitSettings,
) -> list[Certificate | None]:
    """Certify every model that is not known to be as dear as the reference, on the questions `columns`."""
    dollars = table.mean_dollars()
    served = table.served[:, columns]
    found: list[Certificate | None] = []
    for place, model in enumerate(models):
        if model == reference or dollars[model] >= dollars[reference]:
            found.append(None)
            continue
        both = np.flatnonzero((served[model] != UNKNOWN) & (served[reference] != UNKNOWN))
        held = [
            Held(chance=float(chances[place, one]), under_served=bool(served[model, one] == 0 and served[reference, one] == 1))
            for one in both
        ]
        found.append(certify(ModelName(table.names[reference]), held, alpha=settings.alpha, delta=settings.delta))
    return found


def _curves(
    table: Table, models: Sequence[int], trained: Trained, chances: NDArray[np.float64], method: Method
) -> list[tuple[CurvePoint, ...]]:
    """Return the learning curve of each model; points with too few outcomes are left out."""
    curves: list[list[CurvePoint]] = [[] for _ in models]
    for share in CURVE:
        some = table.training[table.places[table.training] < share]
        counts = (table.served[:, some] != UNKNOWN).sum(axis=1)
        enough = [place for place, model in enumerate(models) if counts[model] >= LEAST_OUTCOMES]
        if enough:
            smaller = train(table, some, [models[place] for place in enough], method)
            said = smaller.chances(table.vectors[table.held_out], table.features[table.held_out]).T
            for row, place in enumerate(enough):
                curves[place] += _point(table, models[place], said[row], share, smaller.outcomes[row])
    for place, model in enumerate(models):
        curves[place] += _point(table, model, chances[place], 1.0, trained.outcomes[place])
    return [tuple(curve) for curve in curves]


def _point(table: Table, model: int, chances: NDArray[np.float64], share: float, outcomes: int) -> list[CurvePoint]:
    served = table.served[model, table.held_out]
    known = served != UNKNOWN
    labels = served[known].astype(np.float64)
    if not len(labels):
        return []
    return [
        CurvePoint(share=share, outcomes=outcomes, auc=area_under_curve(chances[known], labels), brier=brier_score(chances[known], labels))
    ]
