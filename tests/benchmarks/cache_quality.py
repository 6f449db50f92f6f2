"""How often the semantic cache answers, and how often wrongly, beside a plain threshold, GPTCache's rule and an exact cache.

Usage: `python tests/benchmarks/cache_quality.py [--quick]`; `--quick` takes fewer requests, and fits the verifier to fewer pairs.

All use the built-in embedder. The threshold for each tenth of the requests is chosen on the others: the least with which, by
these, it is as likely as not that at most 1 % (or 0.1 %) of the hits are wrong.
The verifier of banking77 is fitted to CLINC150, and that of all other sets to banking77: to other questions and other intents.
"""

from __future__ import annotations

import argparse
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

import numpy as np

from benchmarks._cache_answers import NONE, Answers, answers_of_look_ups, answers_of_pairs
from benchmarks._cache_certificates import print_certificates
from benchmarks._cache_isolation import attacked
from benchmarks._cache_judging import DELTA, Judged, always, at_most, certified, in_hindsight
from benchmarks._cache_needed import told_of_need
from benchmarks._cache_peers import GPTCACHE_COSINE, GPTCACHE_MISSING, GPTCache
from benchmarks._cache_sets import SESSIONS, duplicates, intents, mock, sessions
from benchmarks._figure import SHARED, figure, missing, say
from fit_verifier import fitted
from session_router.core.risk import lower_bound, upper_bound
from session_router.embedders.static import StaticEmbedder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks._cache_sets import LookUps
    from session_router.fitting.logistic import Line

LIMITS = {"1pct": 0.01, "0.1pct": 0.001}
SETS = ("banking77", "clinc150", "qqp", "gptcache_mock", "mint", "sgd", "tau2", "taubench")
HARD_COSINE = 0.8
BROKEN = {"scope": "leaves out the scope", "before": "leaves out the conversation", "lengths": "joins fields as they are"}
FIGURES = [
    *(
        f"{name}_{one}"
        for one in SETS
        for name in ("hit_rate_at_1pct", "hit_rate_at_0.1pct", "over_plain_threshold", "false_hit_rate_hard")
    ),
    "gptcache_as_its_rule",
    "traps_that_pass_the_guards",
]


def answers(names: Sequence[str], *, quick: bool) -> Iterator[tuple[str, Answers]]:
    """Yield what each cache makes of each set."""
    data, embedder, limit = SHARED / "data", StaticEmbedder(), 1_200 if quick else 1_000_000

    @cache
    def fitted_to(name: str) -> dict[int, Line]:
        return fitted(data, [f"intents_{name}"], every=8 if quick else 1)

    for name in names:
        if name == "qqp":
            yield name, answers_of_pairs(duplicates(data, limit=5_000 if quick else 64_660), embedder)
            continue
        found = (
            intents(data, name, limit=limit)
            if name in {"banking77", "clinc150"}
            else mock(data)
            if name == "gptcache_mock"
            else sessions(data, SESSIONS[name], limit=800 if quick else 10_000)
        )
        yield name, answers_of_look_ups(found, embedder, fitted_to("clinc150" if name == "banking77" else "banking77"))


def report(name: str, found: Answers) -> None:
    """Print the figures of one set."""
    methods = found.methods
    same, gptcache = always(found.same_text, found, threshold=1.0), always(methods["plain"], found, threshold=GPTCACHE_COSINE)
    say(f"\n{name}\n  {'InMemoryCache':<22} {same.told()}\n  {'rule of GPTCache':<22} {gptcache.told()}")
    at_one: dict[str, Judged] = {}
    for limit, wrong in LIMITS.items():
        judged = {one: at_most(wrong, methods[one], found, forms=one != "plain") for one in methods}
        judged["plain, in hindsight"] = in_hindsight(wrong, methods["plain"], found)
        judged["ours, in hindsight"] = in_hindsight(wrong, methods["ours"], found, forms=True)
        live, wagers = certified(wrong, methods["ours"], found)
        for one, value in {**judged, "certified": live}.items():
            say(f"  at {limit:>6}: {one:<20} {value.told()}; thresholds {sorted(set(value.thresholds))}")
        at_one = at_one or judged
        ours, plain = judged["ours"], judged["plain"]
        need = told_of_need(ours, judged["ours, in hindsight"], limit=wrong, aloud=found.aloud)
        say(f"  at {limit:>6}: {need}")
        figure(
            f"hit_rate_at_{limit}_{name}",
            round(ours.rate, 4),
            unit="hits per request",
            n=ours.requests,
            peer={
                **{f"ours, tier {tier}": hits / ours.requests for tier, (hits, _) in ours.tiers.items()},
                "plain threshold": round(plain.rate, 4),
                "plain threshold, wrong per hit": round(plain.share, 4),
                "plain threshold, chosen in hindsight": round(judged["plain, in hindsight"].rate, 4),
                "verifier without guards": round(judged["verifier"].rate, 4),
                **({"ours, deaf to neighbours": round(judged["alone"].rate, 4)} if "alone" in judged else {}),
                "ours, certified as requests come": round(live.rate, 4),
                "langchain-core InMemoryCache": round(same.rate, 4),
                "langchain-core InMemoryCache, wrong per hit": round(same.share, 4),
                "rule of GPTCache": round(gptcache.rate, 4),
                "rule of GPTCache, wrong per hit": round(gptcache.share, 4),
                "a right answer among the neighbours": round(float(found.within_reach.mean()), 4),
            },
            low=round(lower_bound(ours.hits, ours.requests, delta=DELTA), 4),
            high=round(upper_bound(ours.hits, ours.requests, delta=DELTA), 4),
            note=f"{ours.told()}; low and high: one-sided 95 % bounds of the hit rate; as requests come, "
            f"{sum(wager.certified for wager in wagers)} of {len(wagers)} strata are certified, in "
            f"{', '.join(str(wager.entries) for wager in wagers)} audits of different entries",
        )
        figure(
            f"wrong_per_hit_at_{limit}_{name}",
            round(ours.share, 5),
            unit="wrong per hit",
            n=ours.hits,
            target=f"<= {wrong}",
            peer={
                **{f"tier {tier}": round(bad / hits, 5) for tier, (hits, bad) in ours.tiers.items() if hits},
                **{
                    f"95 % bound of tier {tier}": round(upper_bound(bad, hits, delta=DELTA), 5)
                    for tier, (hits, bad) in ours.tiers.items()
                    if hits
                },
                "plain threshold": round(plain.share, 5),
                "95 % bound of plain": round(plain.bound, 5),
            },
            high=round(ours.bound, 5),
            note=f"high: one-sided 95 % bound; thresholds were chosen on other requests; {need}",
        )
    ratio_figure(name, found, at_one)
    hard_figure(name, found, ours=at_one["ours"], plain=at_one["plain"])


def ratio_figure(name: str, found: Answers, judged: dict[str, Judged]) -> None:
    """Print how many times as many hits there are as with a plain threshold, and what would be needed for twice as many."""
    ours, plain, hindsight = judged["ours"], judged["plain"], judged["plain, in hindsight"]
    forms = ours.tiers["exact"][0] + ours.tiers["content"][0]
    reachable, needed = int(found.within_reach.sum()), 2 * max(1, plain.hits)
    of = reachable - forms
    too_often = lower_bound(ours.wrong, ours.hits, delta=DELTA) > LIMITS["1pct"]
    missing_ones = (
        "which they reach alone"
        if needed <= forms
        else f"of which a verifier must find {(needed - forms) / of:.0%}, and {max(0, ours.hits - forms) / of:.0%} are found"
        if needed <= reachable
        else "which is too few, whatever the verifier"
    )
    figure(
        f"over_plain_threshold_{name}",
        None if too_often else round(ours.hits / max(1, plain.hits), 3),
        unit="ratio of hit rates",
        n=ours.requests,
        target=">= 2",
        peer={
            "ours": round(ours.rate, 4),
            "plain": round(plain.rate, 4),
            "ours over plain in hindsight": round(ours.hits / max(1, hindsight.hits), 3),
        },
        note=("not the same error: ours is wrong too often; " if too_often else "")
        + f"at <= 1 % wrong; ours: {ours.told()}; plain: {plain.told()}"
        + ("; no hit counts as one" if not plain.hits else "")
        + f"; twice plain are {needed} hits: {forms} are alike by form, and there are {max(0, of)} more requests with a right answer among "
        f"their neighbours, {missing_ones}",
    )


def hard_figure(name: str, found: Answers, *, ours: Judged, plain: Judged) -> None:
    """Print how many neighbours that are much alike and not right would be served."""
    hard = found.unlike[found.unlike[:, 0] >= HARD_COSINE]
    false = [int((hard[:, place] >= min(one.thresholds)).sum()) for place, one in ((1, ours), (0, plain))]
    figure(
        f"false_hit_rate_hard_{name}",
        round(false[0] / len(hard), 5) if len(hard) else None,
        unit="hits per hard negative",
        n=len(hard),
        peer={
            "plain threshold": round(false[1] / len(hard), 5) if len(hard) else None,
            "rule of GPTCache": 1.0 if len(hard) else None,
        },
        high=round(upper_bound(false[0], len(hard), delta=DELTA), 5) if len(hard) else None,
        note=f"neighbours with a cosine of {HARD_COSINE} or more and another answer, each by itself, at the lowest threshold for 1 %",
    )


def gptcache_figure(*, quick: bool) -> None:
    """Print how often GPTCache itself does as its rule does, which stands for it above."""
    found: LookUps = mock(SHARED / "data")
    embedder, requests = StaticEmbedder(), [item.text for item in found.asked[: 40 if quick else 400]]
    texts = [item.text for item in found.stored]
    cosines = embedder.embed(requests) @ embedder.embed(texts).T
    try:
        theirs = GPTCache(embedder)
    except ImportError:
        figure("gptcache_as_its_rule", None, unit="of requests", n=0, note=GPTCACHE_MISSING)
        return
    theirs.fill(texts)
    served = [theirs.look_up(text) for text in requests]
    nearest = np.where(cosines.max(axis=1) >= GPTCACHE_COSINE, cosines.argmax(axis=1), -1)
    same = [one == other or (one >= 0 and texts[one] == texts[int(other)]) for one, other in zip(served, nearest, strict=True)]
    figure(
        "gptcache_as_its_rule",
        sum(same) / len(same),
        unit="of requests",
        n=len(same),
        target=">= 0.99",
        note="GPTCache 0.1.44 with its default rule, SQLite and flat FAISS, and our embedder: its own is a model from a hub",
    )


def isolation_figure(*, quick: bool) -> None:
    """Print how many of many adversarial look-ups found what belongs to somebody else."""
    texts, vectors = (15_000, 3_000) if quick else (2_000_000, 200_000)
    by_text, by_vector = attacked(texts, similar=False, seed=1), attacked(vectors, similar=True, seed=2)
    broken = {f"broken: {what}": float(attacked(2_000, similar=True, broken=one, seed=3).crossed) for one, what in BROKEN.items()}
    crossed, look_ups = by_text.crossed + by_vector.crossed, by_text.look_ups + by_vector.look_ups
    figure(
        "cross_partition_hits",
        crossed,
        unit="hits",
        n=look_ups,
        target="== 0",
        peer={**broken, "of look-ups of each broken one": 2_000.0},
        high=upper_bound(crossed, look_ups, delta=DELTA),
        note=f"high: one-sided 95 % bound per look-up; {by_text.hits + by_vector.hits} hits where all was equal, "
        f"{by_vector.similar} of them of the third tier, where all that lies in a partition is near, verified and certified",
    )


def trap_figures() -> None:
    """Print what the pairs that were written to deceive come to."""
    from session_router.cache.guards import failing_guard
    from session_router.cache.verifier import LexicalVerifier
    from session_router.core.wager import SCORE_EDGES
    from support.cache_traps import TRAPS

    embedder, verifier = StaticEmbedder(), LexicalVerifier()
    cosines = np.einsum("ij,ij->i", embedder.embed([trap.one for trap in TRAPS]), embedder.embed([trap.other for trap in TRAPS]))
    passed = [failing_guard(trap.one, trap.other) is None for trap in TRAPS]
    scores = [verifier.score(trap.one, trap.other, cosine=float(cosine)) for trap, cosine in zip(TRAPS, cosines, strict=True)]
    would_be = sum(fine and score >= SCORE_EDGES[0] for fine, score in zip(passed, scores, strict=True))
    figure(
        "traps_that_pass_the_guards",
        sum(passed),
        unit="traps",
        n=len(TRAPS),
        peer={
            "and could be would-be hits": would_be,
            "plain threshold of 0.9": int((cosines >= 0.9).sum()),
            "rule of GPTCache": int((cosines >= GPTCACHE_COSINE).sum()),
        },
        note="pairs of our own, in several languages; both forms tell all of them apart; guards and traps are by the same hand",
    )


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer pairs and sessions")
    parser.add_argument("--only", choices=SETS, nargs="+", help="only the figures of these sets")
    options = parser.parse_args()
    quick: bool = options.quick
    if options.only is None:
        isolation_figure(quick=quick)
        print_certificates()
    try:
        for name, found in answers(options.only or SETS, quick=quick):
            say(f"{name}: {int((found.tier < NONE).sum())} of {len(found.tier)} by form")
            report(name, found)
        if options.only is None:
            gptcache_figure(quick=quick)
            trap_figures()
    except OSError as error:
        missing(FIGURES, f"the data are not there: {error.filename}")


if __name__ == "__main__":
    main()
