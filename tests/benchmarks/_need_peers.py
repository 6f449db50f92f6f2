"""Ways to say which questions a cheap model fails: ours, and those of others, all fitted to the same questions."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from benchmarks._need_families import CHEAP, STRONG
from session_router.fitting import FitSettings, Method
from session_router.fitting.calibration import platt
from session_router.fitting.training import train
from session_router.scorers.fit import chances_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from benchmarks._need_families import Family

OURS: Final = f"session-router {FitSettings().method}"
"""The library's default method of fitting."""

LENGTH: Final = "prompt length"
TFIDF: Final = "TF-IDF + LR"
MINILM: Final = "MiniLM + LR"
AURELIO: Final = "semantic-router"

NEIGHBOURS: Final = 40
UTTERANCES: Final = 300
"""Of a route of semantic-router: what a query is compared with."""

CALIBRATING: Final = 1_000
"""Questions that a threshold of semantic-router is calibrated on."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Said:
    """What is said of some questions.

    Attributes:
        ranks: Higher where the label is likelier, shape (questions, 2): of both labels of a family.
        fails: Chance that the cheap model fails, shape (questions,).
    """

    ranks: NDArray[np.float64]
    fails: NDArray[np.float64]


class Says(Protocol):
    """One way."""

    def __call__(self, family: Family, fitted: NDArray[np.intp], asked: NDArray[np.intp]) -> Said:
        """Learn from the questions `fitted`, and speak of `asked`."""
        ...


def everyone(*, encoder: bool) -> dict[str, Says]:
    """Return every way by its name.

    Args:
        encoder: Whether the families bear the vectors of a transformer.
    """
    rules, tiers = litellm()
    ways: dict[str, Says] = {f"session-router {method}": ours(method) for method in Method}
    ways |= {
        LENGTH: ranked_by(lambda text: float(len(text))),
        "LiteLLM rules": ranked_by(rules),
        "LiteLLM success tiers": ranked_by(tiers),
        TFIDF: tfidf,
        AURELIO: semantic_router,
        f"{NEIGHBOURS} nearest": nearest,
    }
    return ways | ({MINILM: encoded} if encoder else {})


def ours(method: Method) -> Says:
    """Return a fit of the library. "Only the strong one succeeds" is told by the product of its two chances."""

    def says(family: Family, fitted: NDArray[np.intp], asked: NDArray[np.intp]) -> Said:
        table = family.table
        chances = train(table, fitted, [CHEAP, STRONG], method).chances(table.vectors[asked], table.features[asked])
        fails = 1 - chances[:, CHEAP]
        return Said(ranks=np.stack([fails, fails * chances[:, STRONG]], axis=1), fails=fails)

    return says


def ranked_by(score: Callable[[str], float]) -> Says:
    """Return a rule that learns nothing; its chance is a line through its score, fitted to the same questions."""

    known = cache(score)

    def says(family: Family, fitted: NDArray[np.intp], asked: NDArray[np.intp]) -> Said:
        scores = np.array([known(text) for text in family.texts])
        return Said(ranks=np.stack([scores[asked]] * 2, axis=1), fails=_calibrated(scores, family.labels[:, 0], fitted, asked))

    return says


def _calibrated(
    scores: NDArray[np.float64], labels: NDArray[np.float64], fitted: NDArray[np.intp], asked: NDArray[np.intp]
) -> NDArray[np.float64]:
    known = scores[fitted]
    standard = (scores - known.mean()) / (known.std() or 1.0)
    slope, intercept = platt(standard[fitted], labels[fitted])
    return chances_of(slope * standard[asked] + intercept)


def litellm() -> tuple[Callable[[str], float], Callable[[str], float]]:
    """Return LiteLLM's own code: the score of its complexity rules, and its table of success by kind of prompt."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    from litellm import Router
    from litellm.router_strategy.adaptive_router.classifier import classify_prompt
    from litellm.router_strategy.complexity_router.complexity_router import ComplexityRouter
    from litellm.router_strategy.complexity_router.tier_predictor import TierSuccessPredictor, resolve_tier_artifact

    deployments = [{"model_name": "fast", "litellm_params": {"model": "openai/fast", "api_key": "none"}}]
    tiers = dict.fromkeys(("SIMPLE", "MEDIUM", "COMPLEX", "REASONING"), "fast")
    rules = ComplexityRouter("auto", Router(model_list=deployments), {"tiers": tiers}, default_model="fast")
    predictor = TierSuccessPredictor(resolve_tier_artifact("ultrafeedback"))

    def score(text: str) -> float:
        return float(rules.classify(text)[1])

    def failure(text: str) -> float:
        return 1 - float(predictor.predict(text, classify_prompt(text)).probabilities[1])

    return score, failure


def tfidf(family: Family, fitted: NDArray[np.intp], asked: NDArray[np.intp]) -> Said:
    """Logistic regression on words and pairs of words, for each label one; scikit-learn's own penalty."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    known = words.fit_transform([family.texts[place] for place in fitted])
    return _regressed(family, fitted, known, words.transform([family.texts[place] for place in asked]))


def encoded(family: Family, fitted: NDArray[np.intp], asked: NDArray[np.intp]) -> Said:
    """Logistic regression on the vectors of a transformer, standardised."""
    from sklearn.preprocessing import StandardScaler

    assert family.encoded is not None
    scaler = StandardScaler().fit(family.encoded[fitted])
    # A hundredth of scikit-learn's own C: standardised columns are large, and few questions would be learned by heart.
    return _regressed(family, fitted, scaler.transform(family.encoded[fitted]), scaler.transform(family.encoded[asked]), strength=0.01)


def _regressed(family: Family, fitted: NDArray[np.intp], known: Any, new: Any, *, strength: float = 1.0) -> Said:
    from sklearn.linear_model import LogisticRegression

    labels = family.labels[fitted]
    columns = [
        LogisticRegression(C=strength, max_iter=1_000).fit(known, labels[:, place]).predict_proba(new)[:, 1]
        if len(np.unique(labels[:, place])) > 1
        else np.full(new.shape[0], labels[0, place])
        for place in range(2)
    ]
    return Said(ranks=np.stack(columns, axis=1), fails=columns[0])


def nearest(family: Family, fitted: NDArray[np.intp], asked: NDArray[np.intp]) -> Said:
    """The share among the nearest, by the cosine of our embedder's vectors."""
    from sklearn.neighbors import KNeighborsClassifier

    columns: list[NDArray[np.float64]] = []
    for place in range(2):
        labels = family.labels[fitted, place]
        model = KNeighborsClassifier(n_neighbors=min(NEIGHBOURS, len(fitted)), metric="cosine", algorithm="brute")
        shares = model.fit(family.table.vectors[fitted], labels).predict_proba(family.table.vectors[asked])
        columns.append(shares[:, 1] if shares.shape[1] > 1 else np.full(len(asked), labels[0]))
    return Said(ranks=np.stack(columns, axis=1), fails=columns[0])


def semantic_router(family: Family, fitted: NDArray[np.intp], asked: NDArray[np.intp]) -> Said:
    """Aurelio's router on our embedder: a route for the questions with the label, one for those without; its own settings.

    The score is the confidence of the one route less that of the other. Its utterances are drawn from what the others are fitted
    to, and what it is calibrated on is not among them, as its documentation asks for.
    """
    vectors = dict(zip(family.texts, family.table.vectors, strict=True))
    ranks: list[NDArray[np.float64]] = []
    fails = np.zeros(len(asked))
    for place in range(2):
        labels = family.labels[:, place]
        drawn = np.random.default_rng(0).permutation(fitted)
        utterances = drawn[: len(drawn) // 2]
        calibrating = drawn[len(drawn) // 2 :][:CALIBRATING]
        routes = {
            name: [family.texts[one] for one in utterances[labels[utterances] == label][:UTTERANCES]]
            for name, label in (("yes", 1), ("no", 0))
        }
        if not all(routes.values()):
            ranks.append(np.zeros(len(asked)))
            continue
        confidence = _confidence(routes, vectors)
        scores = np.zeros(len(labels))
        for one in [*calibrating, *asked] if place == 0 else asked:
            scores[one] = confidence(family.texts[one])
        ranks.append(scores[asked])
        if place == 0:
            fails = _calibrated(scores, labels, calibrating, asked)
    return Said(ranks=np.stack(ranks, axis=1), fails=fails)


def _confidence(routes: Mapping[str, Sequence[str]], vectors: Mapping[str, NDArray[np.float32]]) -> Callable[[str], float]:
    from semantic_router import Route
    from semantic_router.encoders import DenseEncoder
    from semantic_router.routers import IndexedRouter

    class Encoder(DenseEncoder):
        def __call__(self, docs: list[Any]) -> list[list[float]]:
            return [vectors[text].tolist() for text in docs]

    router = IndexedRouter(
        encoder=Encoder(name="static"), routes=[Route(name=name, utterances=list(texts)) for name, texts in routes.items()]
    )

    def confidence(text: str) -> float:
        found = {choice.name: choice.confidence for choice in router(text, limit=None)}
        return float(found.get("yes", 0.0) - found.get("no", 0.0))

    return confidence
