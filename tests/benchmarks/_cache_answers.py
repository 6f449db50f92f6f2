"""What each cache would answer to each request: with which score, and whether that would be right."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks._cache_peers import ExactCache
from benchmarks._cache_sets import read_aloud
from session_router.cache.guards import failing_guard
from session_router.cache.text_forms import content_form, exact_form
from session_router.cache.verifier import OTHERS, LexicalVerifier, pair_columns

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from benchmarks._cache_sets import Item, LookUps, Pairs
    from session_router.fitting.logistic import Line
    from session_router.ports import Embedder

NEIGHBOURS = OTHERS + 1
LEAST_COSINE = 0.5
EXACT, CONTENT, NONE = 0, 1, 2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Method:
    """One way to decide, over all requests. Arrays have shape (requests,).

    Attributes:
        score: Of its candidate; it is served at or above a threshold.
        right: Whether it would be right.
        entry: Which stored item it is.
    """

    score: NDArray[np.float64]
    right: NDArray[np.bool_]
    entry: NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answers:
    """What every cache makes of the requests of one set.

    Attributes:
        same_text: What langchain-core's `InMemoryCache` answers; score 1, or 0.
        tier: Of each request, `EXACT`, `CONTENT` or `NONE`.
        formed: What these two tiers answer.
        methods: By name, what is compared by score. `ours` has guards and a verifier, which knows what neighbours say.
        unlike: Of the neighbours that are not right: cosine, and our score.
        aloud: How many requests read like a stored one, letter by letter (`read_aloud`), and how many of them have another answer all the
            same, by the labels of the set: in that share of cases even the same text would be wrong.
        within_reach: Of each request, whether any of the neighbours is right: nothing that looks at them alone can hit more.
    """

    same_text: Method
    tier: NDArray[np.intp]
    formed: Method
    methods: Mapping[str, Method]
    unlike: NDArray[np.float64]
    aloud: tuple[int, int]
    within_reach: NDArray[np.bool_]


def answers_of_pairs(found: Pairs, embedder: Embedder) -> Answers:
    """Return what is made of pairs: each a cache of one entry."""
    stored, asked = ([pair[side] for pair in found.pairs] for side in (0, 1))
    right, count = np.array(found.right), len(found.pairs)
    cosines = np.einsum("ij,ij->i", embedder.embed(asked), embedder.embed(stored)).astype(np.float64)
    verifier, entry = LexicalVerifier(), np.arange(count)
    alone = np.array([verifier.score(*pair, cosine=float(cosine)) for pair, cosine in zip(found.pairs, cosines, strict=True)])
    passed = np.array([failing_guard(*pair) is None for pair in found.pairs])
    tier = np.array([_tier(*pair) for pair in found.pairs])
    alike = np.array([read_aloud(one) == read_aloud(other) for one, other in found.pairs])

    def method(score: NDArray[Any]) -> Method:
        return Method(score=score.astype(np.float64), right=right, entry=entry)

    ours = np.where(passed, alone, 0.0)
    return Answers(
        same_text=method(np.array([ExactCache([one]).look_up(other) == 0 for one, other in found.items()])),
        tier=tier,
        formed=method(tier < NONE),
        methods={"plain": method(cosines), "verifier": method(alone), "ours": method(ours)},
        unlike=np.stack([cosines, np.maximum(ours, tier < NONE)], axis=1)[~right],
        aloud=(int(alike.sum()), int((alike & ~right).sum())),
        within_reach=right,
    )


def _tier(one: str, other: str) -> int:
    if exact_form(one) == exact_form(other):
        return EXACT
    return CONTENT if content_form(one) == content_form(other) else NONE


def answers_of_look_ups(found: LookUps, embedder: Embedder, lines: Mapping[int, Line]) -> Answers:
    """Return what is made of requests to a filled cache.

    Args:
        found: The set.
        embedder: Of all.
        lines: The regressions of the verifier, by number of columns: fitted to other data than this set.
    """
    stored = embedder.embed([item.text for item in found.stored])
    partitions: dict[str, list[int]] = defaultdict(list)
    for number, item in enumerate(found.stored):
        partitions[item.partition].append(number)
    rows: dict[str, list[tuple[float, bool, int]]] = defaultdict(list)
    tiers: list[int] = []
    unlike: list[tuple[float, float]] = []
    within_reach: list[bool] = []
    langchain = ExactCache(found.stored)
    forms = [(form, _keyed(found.stored, form)) for form in (exact_form, content_form)]
    for item, vector in zip(found.asked, embedder.embed([item.text for item in found.asked]), strict=True):
        exact, content = (kept.get((item.partition, form(item.text)), -1) for form, kept in forms)
        same = langchain.look_up(item)
        near = _near(vector, stored, partitions.get(item.partition, []))
        scored = _scored(found, item, near, lines)
        formed = exact if exact >= 0 else content
        tiers.append(EXACT if exact >= 0 else CONTENT if content >= 0 else NONE)
        for name, (score, number) in {
            "same": (float(same >= 0), same),
            "formed": (float(formed >= 0), formed),
            "plain": (near[0][0], near[0][1]) if near else (-1.0, -1),
            **{name: max(scored[name], default=(0.0, -1)) for name in ("verifier", "alone", "ours")},
        }.items():
            rows[name].append((score, found.right(item, number), number))
        best = {number: score for score, number in scored["ours"]}
        unlike += [(cosine, best.get(number, 0.0)) for cosine, number in near if not found.right(item, number)]
        within_reach.append(any(found.right(item, number) for number in (exact, content, *(number for _, number in near))))
    methods = {name: _method(found_rows) for name, found_rows in rows.items()}
    return Answers(
        same_text=methods.pop("same"),
        formed=methods.pop("formed"),
        tier=np.array(tiers),
        methods=methods,
        unlike=np.array(unlike).reshape(-1, 2),
        aloud=_aloud(found),
        within_reach=np.array(within_reach),
    )


def _aloud(found: LookUps) -> tuple[int, int]:
    stored = {(item.partition, read_aloud(item.text)): item.answer for item in found.stored}
    pairs = [(item.answer, stored.get((item.partition, read_aloud(item.text)), "")) for item in found.asked]
    alike = [(one, other) for one, other in pairs if other != ""]
    return len(alike), sum(one != other for one, other in alike)


def _method(rows: Sequence[tuple[float, bool, int]]) -> Method:
    score, right, entry = zip(*rows, strict=True)
    return Method(score=np.array(score, dtype=np.float64), right=np.array(right, dtype=np.bool_), entry=np.array(entry, dtype=np.intp))


def _keyed(stored: Sequence[Item], form: Callable[[str], str]) -> dict[tuple[str, str], int]:
    """Return the last entry of each form."""
    return {(item.partition, form(item.text)): number for number, item in enumerate(stored)}


def _near(vector: NDArray[np.float32], stored: NDArray[np.float32], numbers: Sequence[int]) -> list[tuple[float, int]]:
    """Return cosine and number of the nearest entries of a partition, nearest first."""
    if not numbers:
        return []
    cosines = stored[numbers] @ vector if len(numbers) < len(stored) else stored @ vector
    nearest = (
        np.argsort(-cosines, kind="stable")[:NEIGHBOURS]
        if len(numbers) <= NEIGHBOURS
        else np.argpartition(-cosines, NEIGHBOURS)[:NEIGHBOURS]
    )
    found = [(float(cosines[place]), numbers[int(place)]) for place in nearest]
    return sorted(found, key=lambda one: -one[0])


def _scored(found: LookUps, item: Item, near: Sequence[tuple[float, int]], lines: Mapping[int, Line]) -> dict[str, list[tuple[float, int]]]:
    """Return score and number of each neighbour: by the verifier, with guards but without what neighbours say, and by all."""
    known = [(cosine, number) for cosine, number in near if cosine >= LEAST_COSINE]
    scored: dict[str, list[tuple[float, int]]] = {"verifier": [], "alone": [], "ours": []}
    for cosine, number in known:
        other = found.stored[number]
        columns = pair_columns(item.text, other.text, cosine=cosine)
        agreeing = sum(found.stored[one].answer == other.answer for _, one in known) - 1 if found.closed else 0
        differing = len(known) - 1 - agreeing if found.closed else 0
        alone = _chance(columns, lines)
        told = _chance([*columns, agreeing / OTHERS, differing / OTHERS], lines) if agreeing or differing else alone
        scored["verifier"].append((told, number))
        if failing_guard(item.text, other.text) is None:
            scored["alone"].append((alone, number))
            scored["ours"].append((told, number))
    return scored


def _chance(columns: Sequence[float], lines: Mapping[int, Line]) -> float:
    return float(1 / (1 + np.exp(-lines[len(columns)].logits(np.array([columns]))[0])))
