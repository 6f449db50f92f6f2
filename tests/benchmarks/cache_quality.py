"""How often the semantic cache answers, and how often wrongly, beside a plain threshold, GPTCache's rule and an exact cache.

Usage: `python tests/benchmarks/cache_quality.py [--quick]`; `--quick` takes fewer pairs and sessions.

All use the built-in embedder. Thresholds are chosen on one half of the requests and judged on the other, and the other way round.
The verifier of banking77 is fitted to CLINC150, and that of all other sets to banking77: to other questions and other intents.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

import numpy as np
from fit_verifier import fitted

from benchmarks._cache_answers import NONE, Answers, answers_of_look_ups, answers_of_pairs
from benchmarks._cache_judging import DELTA, Judged, always, at_most, certified
from benchmarks._cache_sets import SESSIONS, duplicates, intents, mock, sessions
from benchmarks._figure import SHARED, figure, missing, say
from session_router.core.risk import upper_bound
from session_router.embedders.static import StaticEmbedder

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMITS = {"1pct": 0.01, "0.1pct": 0.001}
GPTCACHE_COSINE = 0.6
"""`init_similar_cache` of GPTCache 0.1.44 serves the nearest entry if 4 minus the squared distance of unit vectors is 0.8 * 4 or more."""

GPTCACHE_NOTE = (
    "GPTCache itself was not run: its default embedder is an ONNX model from a hub, which cannot be had offline; this is its published "
    "rule (the nearest entry, cosine >= 0.6) with our embedder"
)
SETS = ("banking77", "clinc150", "qqp", "gptcache_mock", "mint", "sgd", "tau2", "taubench")
HARD_COSINE = 0.8
FIGURES = [
    f"{name}_{one}" for one in SETS for name in ("hit_rate_at_1pct", "hit_rate_at_0.1pct", "over_plain_threshold", "false_hit_rate_hard")
]


def answers(*, quick: bool) -> Iterator[tuple[str, Answers]]:
    """Yield what each cache makes of each set."""
    data, embedder = SHARED / "data", StaticEmbedder()
    of_banking, of_clinc = (fitted(data, [f"intents_{name}"]) for name in ("banking77", "clinc150"))
    yield "banking77", answers_of_look_ups(intents(data, "banking77"), embedder, of_clinc)
    yield "clinc150", answers_of_look_ups(intents(data, "clinc150"), embedder, of_banking)
    yield "qqp", answers_of_pairs(duplicates(data, limit=10_000 if quick else 64_660), embedder)
    yield "gptcache_mock", answers_of_look_ups(mock(data), embedder, of_banking)
    for name in SESSIONS:
        found = sessions(data, name, limit=1_000 if quick else 10_000)
        if found.asked:
            yield found.name, answers_of_look_ups(found, embedder, of_banking)


def report(name: str, found: Answers) -> None:
    """Print the figures of one set."""
    methods = found.methods
    same, gptcache = always(found.same_text, found, threshold=1.0), always(methods["plain"], found, threshold=GPTCACHE_COSINE)
    say(f"\n{name}\n  the same text          {same.told()}\n  GPTCache's rule        {gptcache.told()}")
    found_at: dict[str, tuple[Judged, Judged]] = {}
    for limit, wrong in LIMITS.items():
        judged = {
            **{f"{one}": at_most(wrong, methods[one], found, forms=one != "plain") for one in methods},
            "forms alone": at_most(0.0, methods["plain"], found, forms=True),
        }
        live, wagers = certified(wrong, methods["ours"], found)
        for one, value in {**judged, "certified": live}.items():
            say(f"  at {limit:>6}: {one:<12} {value.told()}; thresholds {value.thresholds}")
        ours, plain = judged["ours"], judged["plain"]
        found_at[limit] = ours, plain
        figure(
            f"hit_rate_at_{limit}_{name}",
            round(ours.rate, 4),
            unit="hits per request",
            n=ours.requests,
            peer={
                "plain threshold": round(plain.rate, 4),
                "plain threshold, wrong per hit": round(plain.share, 4),
                "verifier without guards": round(judged["verifier"].rate, 4),
                **({"ours, deaf to neighbours": round(judged["alone"].rate, 4)} if "alone" in judged else {}),
                "ours, certified as requests come": round(live.rate, 4),
                "langchain-core InMemoryCache": round(same.rate, 4),
                "GPTCache's rule": round(gptcache.rate, 4),
                "GPTCache's rule, wrong per hit": round(gptcache.share, 4),
            },
            note=f"{ours.told()}; strata certified: {sum(wager.certified for wager in wagers)} of {len(wagers)}; {GPTCACHE_NOTE}",
        )
        figure(
            f"wrong_per_hit_at_{limit}_{name}",
            round(ours.share, 5),
            unit="wrong per hit",
            n=ours.hits,
            target=f"<= {wrong}",
            peer={"plain threshold": round(plain.share, 5), "95 % bound of plain": round(plain.bound, 5)},
            high=round(ours.bound, 5),
            note="high: one-sided 95 % bound; the threshold was chosen on the other half",
        )
    ours, plain = found_at["1pct"]
    figure(
        f"over_plain_threshold_{name}",
        round(ours.rate / plain.rate, 3) if plain.rate else None,
        unit="ratio of hit rates",
        n=ours.requests,
        target=">= 2",
        peer={"ours": round(ours.rate, 4), "plain": round(plain.rate, 4)},
        note=f"at <= 1 % wrong; ours: {ours.told()}; plain: {plain.told()}",
    )
    hard_figure(name, found, ours=ours, plain=plain)


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
            "GPTCache's rule": 1.0 if len(hard) else None,
        },
        high=round(upper_bound(false[0], len(hard), delta=DELTA), 5) if len(hard) else None,
        note=f"neighbours with a cosine of {HARD_COSINE} or more and another answer, each by itself, at the lower threshold for 1 %",
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
            "GPTCache's rule": int((cosines >= GPTCACHE_COSINE).sum()),
        },
        note="pairs of our own, in several languages; both forms tell all of them apart; guards and traps are by the same hand",
    )


def false_certifications() -> None:
    """Print how often a stratum just above the target is certified, over 10,000 histories."""
    from property.test_wager_laws import PERCENT, RUNS, clustered, first_audits

    plain = first_audits(PERCENT, 0.0101, audits=3_000, seed=20)
    weighted, unweighted = (clustered(PERCENT, 0.0101, audits=4_000, seed=21, weighted=one) for one in (True, False))
    count = int(plain.certified.sum())
    figure(
        "false_certifications",
        count / RUNS,
        unit="of histories",
        n=RUNS,
        target="<= 0.05",
        peer={"clustered by entry": float(weighted.certified.mean()), "clustered, not weighed": float(unweighted.certified.mean())},
        high=round(upper_bound(count, RUNS, delta=DELTA), 5),
        note="1.01 % wrong, target 1 %, certified at any time within 3,000 audits (clusters: 4,000, of 20 an entry)",
    )


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer pairs and sessions")
    quick = parser.parse_args().quick
    try:
        for name, found in answers(quick=quick):
            say(f"{name}: {int((found.tier < NONE).sum())} of {len(found.tier)} by form")
            report(name, found)
    except OSError as error:
        missing([*FIGURES, "traps_that_pass_the_guards", "false_certifications"], f"the data are not there: {error.filename}")
    trap_figures()
    false_certifications()


if __name__ == "__main__":
    main()
