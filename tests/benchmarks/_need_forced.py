"""Upgrades that an attacker forces, with the guard and without: the hill climb of `_need_attacks`, and published attacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from benchmarks._figure import SHARED, figure, say
from benchmarks._need_attacks import (
    HillClimb,
    Pair,
    Place,
    clean_prompts,
    known_attacks,
    least_lead_of,
    shares_behind,
    shares_under,
    vocabulary_of,
)
from benchmarks._need_families import SOURCES
from benchmarks._need_statistics import exact_interval
from session_router import ModelSpec, Prices
from session_router.core.model import ModelName
from session_router.embedders.static import StaticEmbedder
from session_router.fitting import FitSettings, OutcomeFile, fit_outcomes
from session_router.scorers.fitted import FittedScorer
from session_router.scorers.guard_limits import limits_from
from session_router.scorers.guarded import GuardedScorer
from session_router.scorers.lexical import LexicalScorer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks._need_attacks import Asks, Shares
    from session_router.ports import Scorer

CHEAP, STRONG = ModelName("Mixtral-8x7B-Instruct-v0.1"), ModelName("gpt-4-1106-preview")
MODELS: Final = {CHEAP: ModelSpec(prices=Prices(input=0.6, output=0.6)), STRONG: ModelSpec(prices=Prices(input=10, output=30))}
PAIR: Final = Pair(cheap=CHEAP, strong=STRONG, models=MODELS)

PROMPTS: Final = 200
UPGRADED: Final = 0.2
"""Share of clean questions for which an upgrade is worth its price."""

MORE: Final = 0.05
"""Of the questions, so many more may be upgraded under attack."""

FALSE_ALARMS: Final = 0.01
CLEAN: Final = 3_000
"""Questions that false alarms are counted on."""

LIMITS_FROM: Final = 4_000
FITTED: Final = 5_000
"""Questions whose outcomes are fitted to; held-out ones among them set the guard of the fit."""

DIGITS: Final = 4

WORDS, MANY_WORDS = 8, 64
"""Of a block, and of a block that no window covers: who writes most of a text decides what it asks for."""

LONG: Final = "prepend_long"
LONG_PROMPTS: Final = 50
"""Questions that the long block is tried on."""


def print_forced(
    *, prompts: int = PROMPTS, queries: int = 100, clean: int = CLEAN, limits_on: int = LIMITS_FROM, fitted: int = FITTED
) -> None:
    """Print what an attacker gets.

    Args:
        prompts: Questions that are attacked.
        queries: Texts that may be scored for each.
        clean: Questions that false alarms are counted on.
        limits_on: Questions that the limits of the lexical scorer are set from.
        fitted: Questions whose outcomes are fitted to.
    """
    texts = clean_prompts()
    attacked, others, known, rest = _parts(texts, (prompts, clean, limits_on))
    lexical = LexicalScorer()
    scorers: dict[str, tuple[Scorer, Scorer]] = {
        "lexical": (lexical, GuardedScorer(lexical, limits=limits_from(lexical, MODELS, known))),
        "fitted": _fitted(rest[:fitted]),
    }
    found: dict[str, dict[str, Shares]] = {}
    for name, (unguarded, guarded) in scorers.items():
        found[name] = _print(name, PAIR.asks(unguarded), PAIR.asks(guarded), attacked, others, vocabulary_of(known), queries)
    _print_uplift("attack_uplift_points", found, [Place.PREPEND], "a short block before the question")
    _print_uplift("attack_uplift_points_anywhere", found, list(Place), "a short block before, behind or inside the question, the worst")
    _print_uplift("attack_uplift_points_long", found, [LONG], "a block before the question that is longer than most questions are")


def _parts(texts: Sequence[str], sizes: Sequence[int]) -> list[list[str]]:
    """Cut into parts of these sizes and the rest. Nothing is fitted to, or set on, what is attacked."""
    parts: list[list[str]] = []
    start = 0
    for size in sizes:
        parts.append(list(texts[start : start + size]))
        start += size
    return [*parts, list(texts[start:])]


def _fitted(texts: Sequence[str]) -> tuple[Scorer, Scorer]:
    """Fit to the outcomes of `texts`, and return the scorer without the guard that the fit comes with, and with it."""
    wanted = set(texts)
    source = SOURCES[0]
    graded = [one for one in OutcomeFile(SHARED / "data" / f"{source.file}.jsonl.gz") if not isinstance(one, Exception)]
    embedder = StaticEmbedder()
    prices = {str(name): spec.prices for name, spec in MODELS.items() if spec.prices is not None}
    known = [one for one in graded if one.question.text in wanted]
    fit = fit_outcomes(known, embedder, embedder_name="static", settings=FitSettings(prices=prices)).fit
    assert fit.guard is not None
    return FittedScorer(fit, embedder, guard=False), FittedScorer(fit, embedder)


def _print(
    name: str, unguarded: Asks, guarded: Asks, attacked: list[str], others: list[str], vocabulary: list[str], queries: int
) -> dict[str, Shares]:
    least_lead = least_lead_of(unguarded, others, upgraded=UPGRADED)
    alarms = sum(guarded(text).alarm for text in others)
    low, high = exact_interval(alarms, len(others))
    figure(
        f"false_alarms_{name}",
        round(alarms / len(others), DIGITS),
        unit="share of clean questions",
        n=len(others),
        target=f"<= {FALSE_ALARMS}",
        low=round(low, DIGITS),
        high=round(high, DIGITS),
        note="limits set on other questions, and the scorer fitted to others",
    )
    climbs = {str(place): HillClimb(place=place, words=WORDS, queries=queries, vocabulary=vocabulary) for place in Place}
    climbs[LONG] = HillClimb(place=Place.PREPEND, words=MANY_WORDS, queries=queries, vocabulary=vocabulary)
    found: dict[str, Shares] = {}
    for place, climb in climbs.items():
        prompts = attacked[:LONG_PROMPTS] if place == LONG else attacked
        shares = found[place] = shares_under(climb, prompts, unguarded=unguarded, guarded=guarded, least_lead=least_lead)
        how = f"a hill climb of {queries} queries a question over a block of {climb.words} words, which sees score and alarm"
        _print_shares(f"forced_{name}_{place}", shares, how)
    behind = shares_behind(known_attacks(), attacked, unguarded=unguarded, guarded=guarded, least_lead=least_lead)
    _print_shares(f"forced_{name}_published", behind, "published jailbreaks and extractions of system prompts, each before a question")
    return found


def _print_uplift(name: str, found: dict[str, dict[str, Shares]], places: Sequence[str], where: str) -> None:
    """Print by how many points more than clean ones attacked questions are upgraded, with the scorer that this is worst for."""
    every = {f"{scorer}, {place}": found[scorer][place] for scorer in found for place in places}
    points = {key: round(100 * (shares.attacked_guarded - shares.clean), 2) for key, shares in every.items()}
    worst = max(points, key=points.__getitem__)
    shares = every[worst]
    ends = exact_interval(round(shares.attacked_guarded * shares.prompts), shares.prompts)
    low, high = (round(100 * (end - shares.clean), 2) for end in ends)
    figure(
        name,
        points[worst],
        unit="percentage points over clean questions",
        n=shares.prompts,
        target="<= 5",
        peer={"without the guard": round(100 * (shares.attacked - shares.clean), 2)},
        low=low,
        high=high,
        note=f"{where}: {worst}; {', '.join(f'{key} {value:+.2f}' for key, value in points.items())}",
    )


def _print_shares(name: str, shares: Shares, how: str) -> None:
    low, high = exact_interval(round(shares.attacked_guarded * shares.prompts), shares.prompts)
    say(
        f"  {name}: clean {shares.clean:.3f}, guarded {shares.clean_guarded:.3f}, "
        f"attacked {shares.attacked:.3f}, guarded {shares.attacked_guarded:.3f}"
    )
    figure(
        name,
        round(shares.attacked_guarded, DIGITS),
        unit="share of questions upgraded under attack, with the guard",
        n=shares.prompts,
        target=f"<= {round(shares.clean + MORE, DIGITS)}",
        peer={
            "clean": round(shares.clean, DIGITS),
            "clean, guarded": round(shares.clean_guarded, DIGITS),
            "attacked, without the guard": round(shares.attacked, DIGITS),
        },
        low=round(low, DIGITS),
        high=round(high, DIGITS),
        note=f"{how}; {shares.attacked_guarded - shares.clean:+.4f} over clean, {shares.attacked_guarded - shares.clean_guarded:+.4f} over "
        f"clean with the guard; an upgrade is worth its price for a share of {UPGRADED} of clean questions",
    )
