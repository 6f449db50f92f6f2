"""The report of a fit, as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from session_router.cli.terminal import escaped
from session_router.cli.words import plural

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from session_router.fitting import Report
    from session_router.fitting.report import CurvePoint, GuardReport, ModelReport
    from session_router.fitting.savings import Bill, Savings

SHOWN_IN_DETAIL = 4
"""Models whose reliability is shown bin by bin; the rows of `--json` have all."""


def print_fit(console: Console, report: Report, *, out: Path, signed: bool, bad: int) -> None:
    """Print what a fit is worth.

    Args:
        console: Where.
        report: The figures.
        out: The file that was written.
        signed: Whether it bears a signature.
        bad: Lines that could not be read.
    """
    if bad:
        console.print(f"[red]{plural(bad, 'line')} could not be read[/]; see the errors above.")
    fitted, held_out = report.questions
    method = report.method if report.nearest is None else f"{report.method}, {report.nearest} similar ones are looked at"
    repeated = f" ({plural(report.repeated, 'repeated one')} not counted)" if report.repeated else ""
    console.print(f"{plural(fitted, 'question')} to fit to, {held_out:,} held out{repeated}; method {method}")
    for name, count in report.left_out:
        console.print(f"[yellow]{escaped(name)} is left out[/]: {plural(count, 'outcome')} to fit to are too few.")
    console.print(_models(report))
    shown = sorted(report.models, key=lambda model: (model.certificate is None, model.model != report.reference))[:SHOWN_IN_DETAIL]
    console.print(_reliability([model for model in report.models if model in shown]))
    console.print(_curves(report.models))
    for line in _guard(report.guard):
        console.print(line)
    if report.savings is None:
        console.print("What it would save is not known: there are no costs. Give `cost` in the outcomes, or prices by --config.")
    else:
        console.print(_savings(report.savings, report.reference))
    for line in _notes(report, len(shown)):
        console.print(f"[dim]{line}[/]")
    console.print(f"-> {escaped(str(out))}{', signed' if signed else ''}")
    console.print(f'Put `path = "{escaped(out.name)}"` into `\\[scorer]` of the configuration beside it.')


def _models(report: Report) -> Table:
    table = Table(title="On outcomes that were held out", title_justify="left")
    table.add_column("model", overflow="fold")
    for column in ("outcomes", "served well", "AUC", "Brier", "calibration error", "$ a segment"):
        table.add_column(column, justify="right")
    table.add_column(f"may stand in for {escaped(report.reference)}", overflow="fold")
    for model in report.models:
        figures = [
            _share(model.served),
            _figure(model.auc),
            _figure(model.brier),
            _figure(model.calibration_error),
            _dollars(model.dollars),
        ]
        table.add_row(escaped(model.model), f"{model.fitted:,} + {model.held_out:,}", *figures, _certified(model, report))
    return table


def _certified(model: ModelReport, report: Report) -> str:
    if model.model == report.reference:
        return "the reference"
    one = model.certificate
    if one is None:
        return "nowhere"
    return f"from {one.least_chance:.2f} on: {one.under_served:,} of {one.segments:,} under-served, at most {one.bound:.1%}"


def _reliability(models: list[ModelReport]) -> Table:
    table = Table(title="What was promised, and what came true", title_justify="left")
    table.add_column("model", overflow="fold")
    for column in ("outcomes", "predicted", "served well", "between"):
        table.add_column(column, justify="right")
    for model in models:
        table.add_section()
        for place, one in enumerate(model.bins):
            name = "" if place else escaped(model.model)
            table.add_row(name, f"{one.outcomes:,}", _share(one.predicted), _share(one.served), f"{one.low:.1%} and {one.high:.1%}")
    return table


def _curves(models: tuple[ModelReport, ...]) -> Table:
    shares = sorted({point.share for model in models for point in model.curve})
    table = Table(title="With fewer outcomes: AUC, Brier", title_justify="left")
    table.add_column("model", overflow="fold")
    for share in shares:
        table.add_column(f"{share:.0%}", justify="right")
    for model in models:
        points = {point.share: point for point in model.curve}
        table.add_row(escaped(model.model), *(_point(points.get(share)) for share in shares))
    return table


def _point(point: CurvePoint | None) -> str:
    return "too few" if point is None else f"{_figure(point.auc)}, {_figure(point.brier)}"


def _guard(guard: GuardReport | str) -> list[str]:
    if isinstance(guard, str):
        return [f"[yellow]No guard[/] against texts of which a part speaks for all: {guard}."]
    figures = ", ".join(f"{escaped(one.model)} {_figure(one.auc)}, {_figure(one.brier)}" for one in guard.models[:SHOWN_IN_DETAIL])
    return [
        f"Guard: {plural(guard.texts, 'held-out prompt')} set limits; certificates and savings rest on the other {guard.questions:,}.",
        f"{guard.alarms:.1%} of them raise an alarm, and {guard.capped:.1%} are not taken at their word. AUC, Brier: {figures}.",
    ]


def _savings(savings: Savings, reference: str) -> Table:
    table = Table(title=f"What it would save, on {plural(savings.questions, 'question')}", title_justify="left")
    table.add_column("choice", overflow="fold")
    for column in ("$ a segment", "of the reference's", "served well", "under-served", "downgraded"):
        table.add_column(column, justify="right")
    rows = {f"always {reference}": savings.reference, "cheapest certified": savings.certified, "oracle": savings.oracle}
    for name, bill in rows.items():
        table.add_row(escaped(name), *_bill(bill, savings.reference), style="bold" if bill is savings.certified else "")
    return table


def _bill(bill: Bill, reference: Bill) -> list[str]:
    ratio = f"{bill.dollars / reference.dollars:.1%}" if reference.dollars else "-"
    return [_dollars(bill.dollars), ratio, _share(bill.served), _share(bill.under_served), _share(bill.downgraded)]


def _notes(report: Report, shown: int) -> list[str]:
    lines = [
        "Served well is a score of 0.5 or more; under-served, what another model failed and the reference did not.",
        f"A certificate allows {report.alpha:.0%} under-served, with confidence {1 - report.delta:.0%}, of questions like those held out.",
        "AUC: 0.5 is chance, 1 is best. Brier: 0 is best. The bounds hold with confidence 95% each.",
    ]
    if report.nearest is not None:
        lines.append(
            "The file holds vectors of prompts, from which words can be guessed; with --method logistic no trace of any one prompt."
        )
    if shown < len(report.models):
        lines.append(f"Reliability is shown for {shown} of {len(report.models)} models; the report of --json has all.")
    return lines


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _dollars(value: float | None) -> str:
    return "-" if value is None else f"{value:.5f}"
