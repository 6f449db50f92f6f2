"""`session-router fit`: how well does each model serve what is asked?"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from session_router.cli.learn import OUT

if TYPE_CHECKING:
    from session_router.core.pricing import Prices
    from session_router.fitting import Graded

KEY_FILE = "--key-file"
SHOWN_ERRORS = 20


class EmbedderName(StrEnum):
    """The embedders that a configuration can name."""

    STATIC = "static"
    HASH = "hash"


class MethodName(StrEnum):
    """How chances are predicted."""

    BLEND = "blend"
    LOGISTIC = "logistic"


def fit(  # noqa: PLR0913 -- each is one option
    outcomes: Annotated[
        Path, typer.Argument(help="Outcomes: one JSON object a line with the prompt, and each model's score and cost; plain or gzip.")
    ],
    *,
    out: Annotated[Path, typer.Option(OUT, help="Where to write the scorer; `scorer.path` in the configuration names it.")],
    embedder: Annotated[EmbedderName, typer.Option(help="What makes vectors of texts.")] = EmbedderName.STATIC,
    reference: Annotated[str | None, typer.Option(help="The model that cheaper ones stand in for; else the best one.")] = None,
    method: Annotated[
        MethodName, typer.Option(help="How chances are predicted: by a line and similar prompts, or by a line alone.")
    ] = MethodName.BLEND,
    alpha: Annotated[float, typer.Option(help="Largest share of under-served segments that a certificate allows, in [0, 1).")] = 0.1,
    delta: Annotated[float, typer.Option(help="Chance that a certificate may be wrong, in (0, 1).")] = 0.05,
    guard: Annotated[
        bool, typer.Option(help="Set limits against texts of which a part speaks for all, and certify what they leave.")
    ] = True,
    seed: Annotated[int, typer.Option(help="Of the split into outcomes that are fitted to and held out.")] = 0,
    key_file: Annotated[
        Path | None, typer.Option(KEY_FILE, help="A file with the key to sign with, in hex; else the key of the configuration, if any.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            help="Configuration whose prices count where outcomes have no cost.", envvar="SESSION_ROUTER_CONFIG", show_envvar=True
        ),
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Write the report as one JSON row; '-' is standard output, .gz compresses.")] = None,
    lenient: Annotated[bool, typer.Option("--lenient", help="Exit with 0 even if some lines cannot be read.")] = False,
) -> None:
    """Fit a scorer to outcomes: the chance that each model serves a question well, with an interval and certificates.

    Some of the outcomes are held out, and all figures that are printed rest on these. What is written holds numbers only: with
    `blend` vectors of the prompts, from which words can be guessed, with `logistic` no trace of any one prompt. Exit code 1 when a line
    could not be read (the others are fitted to), 2 when there was nothing to fit, 130 when interrupted, and then nothing is written.
    """
    from session_router.cli.exit_codes import BAD_INPUT, INTERRUPTED
    from session_router.cli.fit_table import print_fit
    from session_router.cli.outputs import check_outputs, write_whole
    from session_router.cli.rows import ROWS, RowFile, file_of_rows
    from session_router.cli.terminal import error_console, output_console
    from session_router.config.scorer import built_in_embedder
    from session_router.fitting import FitSettings, Method, fit_outcomes
    from session_router.scorers.scorer_file import scorer_text

    # A scorer may take the place of the one before it.
    files = {OUT: out, ROWS: file_of_rows(json)}
    keys = {f"the file of `{KEY_FILE}`": key_file}
    check_outputs(files, sessions=outcomes, what="outcomes", inputs=keys, config=config, whole=[OUT], scored=False, configured=False)
    settings = FitSettings(
        method=Method(method.value), reference=reference, alpha=alpha, delta=delta, seed=seed, prices=_prices(config), guard=guard
    )
    key = _key(key_file, config)
    try:
        graded, bad = _read(outcomes)
        vectors = built_in_embedder(embedder.value)
        assert vectors is not None, embedder  # noqa: S101 -- the option offers no other
        with error_console().status("fitting ..."):
            fitted = fit_outcomes(graded, vectors, embedder_name=embedder.value, settings=settings)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    write_whole(OUT, out, scorer_text(fitted.fit, key=key))
    with RowFile(json) as rows:
        if rows.wanted:
            rows.write({"kind": "fit", "bad_lines": bad, **fitted.report.to_plain()})
    # Rows own standard output when they go there.
    print_fit(error_console() if rows.standard_output else output_console(), fitted.report, out=out, signed=key is not None, bad=bad)
    if bad and not lenient:
        raise typer.Exit(BAD_INPUT)


def _read(path: Path) -> tuple[list[Graded], int]:
    """Return what can be used of a file, and how many lines cannot."""
    from session_router.cli.terminal import error_console, escaped
    from session_router.errors import RecordingError
    from session_router.fitting import OutcomeFile

    console = error_console()
    graded: list[Graded] = []
    bad = 0
    for item in OutcomeFile(path):
        if isinstance(item, RecordingError):
            bad += 1
            if bad <= SHOWN_ERRORS:
                console.print(f"[red]error:[/] {escaped(str(item))}")
        else:
            graded.append(item)
    if bad > SHOWN_ERRORS:
        console.print(f"[red]error:[/] and {bad - SHOWN_ERRORS:,} more lines that cannot be read.")
    return graded, bad


def _prices(config: Path | None) -> dict[str, Prices]:
    """Return the prices of the configuration, by the names that its scorer has for the routes."""
    from session_router.config import load_prices, load_settings

    if config is None:
        return {}
    names = load_settings(config).scorer.models
    return {names.get(route, route): priced.prices for route, priced in load_prices(config).items()}


def _key(path: Path | None, config: Path | None) -> bytes | None:
    import os

    from session_router.config import load_key
    from session_router.errors import ConfigurationError
    from session_router.identity import key_from_text

    if path is None:
        return load_key(config, environment=os.environ)
    try:
        return key_from_text(path.read_text(encoding="ascii"), source=str(path))
    except (OSError, UnicodeDecodeError):
        raise ConfigurationError(key=KEY_FILE, value=str(path), rule="it cannot be read; name a file of hex digits.") from None
