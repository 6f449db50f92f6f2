"""Every embedder obeys the laws, and the laws are known to bite."""

from __future__ import annotations

import functools
import itertools
import json
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import Phase, settings
from langchain_core.embeddings import DeterministicFakeEmbedding
from safetensors.numpy import save_file

from session_router.embedders.batching import BatchingEmbedder
from session_router.embedders.caching import CachingEmbedder
from session_router.embedders.hashing import HashEmbedder
from session_router.embedders.langchain import LangChainEmbedder
from session_router.embedders.sentence_transformers import SentenceTransformerEmbedder
from session_router.embedders.static import StaticEmbedder
from session_router.testing import EmbedderSuite, embedder_suite
from support.counting_embedder import CountingEmbedder
from support.encoders import saved, tokenizer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from session_router.ports import Embedder
    from support.encoders import Folders


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    return saved(tmp_path_factory.mktemp("encoders"))


@functools.cache
def loaded(folder: Path) -> SentenceTransformerEmbedder:
    return SentenceTransformerEmbedder(folder, device="cpu")


class OfFolders(EmbedderSuite):
    kind: str

    @pytest.fixture
    def embedder(self, folders: Folders) -> Embedder:
        self.folders = folders
        return loaded(getattr(folders, self.kind))

    def made_again(self) -> Embedder:
        return SentenceTransformerEmbedder(str(getattr(self.folders, self.kind)), device="cpu", batch=3)

    def another_model(self) -> Embedder:
        return SentenceTransformerEmbedder(getattr(self.folders, f"other_{self.kind}"), device="cpu")


class TestSentenceTransformerOfATransformer(OfFolders):
    kind = "bert"


class TestSentenceTransformerOfStaticVectors(OfFolders):
    kind = "static"


class TestSentenceTransformerBatchedAndCached(OfFolders):
    kind = "bert"

    @pytest.fixture
    def embedder(self, folders: Folders) -> Embedder:
        self.folders = folders
        return CachingEmbedder(BatchingEmbedder(loaded(folders.bert), maximum_texts=8), maximum_entries=10)


def static_folder(folder: Path, *, seed: int) -> Path:
    """A folder as the built-in embedder has it, with a few tokens."""
    pieces, generator = tokenizer(), np.random.default_rng(seed)
    tokens = pieces.get_vocab_size()
    folder.mkdir(exist_ok=True)
    # No special tokens: a text that spells one is a text like others.
    described = json.loads(pieces.to_str()) | {"added_tokens": [], "post_processor": None}
    (folder / "tokenizer.json").write_text(json.dumps(described), encoding="utf-8")
    embeddings = generator.integers(-127, 128, (tokens, 16), dtype=np.int8)
    save_file({"embeddings": embeddings, "weights": np.full(tokens, 0.01, dtype=np.float32)}, folder / "model.safetensors")
    return folder


class TestStatic(EmbedderSuite):
    @pytest.fixture
    def embedder(self, tmp_path: Path) -> Embedder:
        self.directory = tmp_path
        return self.made_again()

    def made_again(self) -> Embedder:
        return StaticEmbedder(static_folder(self.directory / "first", seed=0))

    def another_model(self) -> Embedder:
        return StaticEmbedder(static_folder(self.directory / "second", seed=1))


class TestHash(EmbedderSuite):
    @pytest.fixture
    def embedder(self) -> Embedder:
        return self.made_again()

    def made_again(self) -> Embedder:
        return HashEmbedder()

    def another_model(self) -> Embedder:
        return CountingEmbedder()


class TestLangChain(EmbedderSuite):
    @pytest.fixture
    def embedder(self) -> Embedder:
        return self.made_again()

    def made_again(self) -> Embedder:
        return LangChainEmbedder(DeterministicFakeEmbedding(size=12), name="fake")

    def another_model(self) -> Embedder:
        return LangChainEmbedder(DeterministicFakeEmbedding(size=12), name="fake 2")


class SyncOnly:
    model = "sync-only"

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return DeterministicFakeEmbedding(size=5).embed_documents(texts)


class TestLangChainWithoutAsync(EmbedderSuite):
    @pytest.fixture
    def embedder(self) -> Embedder:
        return self.made_again()

    def made_again(self) -> Embedder:
        return LangChainEmbedder(SyncOnly())

    def another_model(self) -> Embedder:
        return LangChainEmbedder(SyncOnly(), name="another")


class OfAKind(EmbedderSuite):
    """The suite for a class that is made of a model's name."""

    kind: Any = CountingEmbedder

    @pytest.fixture
    def embedder(self) -> Embedder:
        return self.made_again()

    def made_again(self) -> Embedder:
        return self.kind(model="first")

    def another_model(self) -> Embedder:
        return self.kind(model="second")


class TestCounting(OfAKind):
    """The one that the broken ones are made from is sound."""


class TestBatching(OfAKind):
    @staticmethod
    def kind(*, model: str) -> Embedder:
        return BatchingEmbedder(CountingEmbedder(model=model), maximum_texts=4, maximum_wait_seconds=0)


class TestCaching(OfAKind):
    @staticmethod
    def kind(*, model: str) -> Embedder:
        return CachingEmbedder(CountingEmbedder(model=model), maximum_entries=3)


# Broken embedders: each has one fault.


class ForgetsTheLast(CountingEmbedder):
    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return super().embed(texts)[: max(1, len(texts) - 1)]


class DoublePrecision(CountingEmbedder):
    def embed(self, texts: Sequence[str]) -> Any:
        return super().embed(texts).astype(np.float64)


class NothingIsFlat(CountingEmbedder):
    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return super().embed(texts) if texts else np.zeros(0, dtype=np.float32)


class AsyncNothingIsFlat(CountingEmbedder):
    async def aembed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self.embed(texts) if texts else np.zeros(0, dtype=np.float32)


class RawLengths(CountingEmbedder):
    def row(self, text: str) -> NDArray[np.float64]:
        return super().row(text) * 3


class KnowsNothing(CountingEmbedder):
    def row(self, text: str) -> NDArray[np.float64]:
        return super().row(text) * 0


class EmptyIsAText(CountingEmbedder):
    def row(self, text: str) -> NDArray[np.float64]:
        return super().row(text or " ")


class AsyncEmptyIsAText(CountingEmbedder):
    async def aembed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self.embed([text or " " for text in texts])


class SaysTheSame(CountingEmbedder):
    def row(self, text: str) -> NDArray[np.float64]:
        return super().row("same" if text else "")


class LendsItsRows(CountingEmbedder):
    def __init__(self, *, model: str) -> None:
        super().__init__(model=model)
        self.answers: dict[tuple[str, ...], NDArray[np.float32]] = {}

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self.answers.setdefault(tuple(texts), super().embed(texts))


class Drops(CountingEmbedder):
    """Other rows every time, as with dropout."""

    drawn = itertools.count()

    def row(self, text: str) -> NDArray[np.float64]:
        return super().row(f"{text} {next(self.drawn)}" if text else "")


class SortsByLength(CountingEmbedder):
    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return super().embed(sorted(texts, key=len))


class MovedByItsCompany(CountingEmbedder):
    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        rows = super().embed(texts)
        rows[:, 0] += 0.01 * max(map(len, texts), default=0)
        rows[[not text for text in texts]] = 0
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        return np.divide(rows, lengths, out=rows, where=lengths > 0)


class AsyncIsAnotherModel(CountingEmbedder):
    async def aembed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return CountingEmbedder(model="async").embed(texts)


class AsyncKeepsOneRequest(CountingEmbedder):
    texts: Sequence[str] = ()

    async def aembed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        import asyncio

        self.texts = texts
        await asyncio.sleep(0)
        return self.embed(self.texts)


class OneDeskForAllThreads(CountingEmbedder):
    texts: Sequence[str] = ()

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.texts = list(texts)
        time.sleep(0.001)
        return super().embed(self.texts)


class LatinOnly(CountingEmbedder):
    def row(self, text: str) -> NDArray[np.float64]:
        return super().row(text) * (1 if text.isascii() else 0.5)


class CannotEncode(CountingEmbedder):
    def row(self, text: str) -> NDArray[np.float64]:
        return super().row(text.encode().decode())


class OverflowsOnHugeTexts(CountingEmbedder):
    def row(self, text: str) -> NDArray[np.float64]:
        return super().row(text) * (1 if len(text) < 500_000 else np.nan)


class FailsOnOddLengths(CountingEmbedder):
    def row(self, text: str) -> NDArray[np.float64]:
        return super().row(text) * (0.5 if 0 < len(text) < 4 else 1)


class CountsInItsFingerprint(CountingEmbedder):
    @property
    def fingerprint(self) -> str:
        return f"{self.model} {len(self.calls)}"


class FingerprintOfTheObject(CountingEmbedder):
    @property
    def fingerprint(self) -> str:
        return f"{self.model} {id(self)}"


class HasNoFingerprint(CountingEmbedder):
    @property
    def fingerprint(self) -> str:
        return ""


class WeightsDrawnAnew(CountingEmbedder):
    drawn = itertools.count()

    def __init__(self, *, model: str) -> None:
        super().__init__(model=model)
        self.weights = str(next(self.drawn))

    def row(self, text: str) -> NDArray[np.float64]:
        return super().row(text + self.weights if text else "")


class FingerprintOfTheClass(CountingEmbedder):
    @property
    def fingerprint(self) -> str:
        return type(self).__qualname__


BROKEN: list[tuple[type[CountingEmbedder], str]] = [
    (ForgetsTheLast, "test_shape_and_type"),
    (ForgetsTheLast, "test_any_text"),
    (DoublePrecision, "test_shape_and_type"),
    (DoublePrecision, "test_no_texts_no_rows"),
    (NothingIsFlat, "test_no_texts_no_rows"),
    (NothingIsFlat, "test_any_text"),
    (AsyncNothingIsFlat, "test_no_texts_no_rows"),
    (RawLengths, "test_ordinary_texts_have_unit_rows"),
    (RawLengths, "test_other_scripts"),
    (KnowsNothing, "test_ordinary_texts_have_unit_rows"),
    (EmptyIsAText, "test_empty_text_has_a_zero_row"),
    (AsyncEmptyIsAText, "test_empty_text_has_a_zero_row"),
    (AsyncEmptyIsAText, "test_async_equals_sync"),
    (SaysTheSame, "test_different_texts_differ"),
    (LendsItsRows, "test_answer_belongs_to_the_caller"),
    (Drops, "test_same_texts_have_the_same_rows"),
    (Drops, "test_any_text"),
    (SortsByLength, "test_order_of_texts_is_irrelevant"),
    (SortsByLength, "test_empty_text_has_a_zero_row"),
    (MovedByItsCompany, "test_company_of_a_text_is_irrelevant"),
    (AsyncIsAnotherModel, "test_async_equals_sync"),
    (AsyncKeepsOneRequest, "test_async_equals_sync"),
    (OneDeskForAllThreads, "test_threads_do_not_disturb_each_other"),
    (LatinOnly, "test_other_scripts"),
    (CannotEncode, "test_lone_surrogates"),
    (CannotEncode, "test_any_text"),
    (OverflowsOnHugeTexts, "test_huge_texts"),
    (FailsOnOddLengths, "test_any_text"),
    (CountsInItsFingerprint, "test_fingerprint_is_that_of_the_model"),
    (FingerprintOfTheObject, "test_fingerprint_is_that_of_the_model"),
    (HasNoFingerprint, "test_fingerprint_is_that_of_the_model"),
    (WeightsDrawnAnew, "test_fingerprint_is_that_of_the_model"),
    (FingerprintOfTheClass, "test_another_model_has_another_fingerprint"),
]


@pytest.mark.parametrize(("broken", "law"), BROKEN, ids=[f"{broken.__name__}-{law}" for broken, law in BROKEN])
def test_the_suite_fails_for_a_broken_embedder(broken: type[CountingEmbedder], law: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # The smallest counterexample is for people; here any will do.
    monkeypatch.setattr(embedder_suite, "_SEARCH", settings(embedder_suite._SEARCH, phases=[Phase.generate]))
    suite = OfAKind()
    suite.kind = broken
    with pytest.raises((AssertionError, UnicodeEncodeError)):
        getattr(suite, law)(broken(model="first"))


def test_every_law_is_broken_by_some_embedder() -> None:
    assert {law for _, law in BROKEN} == {name for name in dir(EmbedderSuite) if name.startswith("test_")}


def test_the_tolerance_is_what_the_suite_says() -> None:
    class Rounds(CountingEmbedder):
        def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
            return super().embed(texts) + np.float32(1e-3 * (len(texts) > 1))

    suite = OfAKind()
    with pytest.raises(AssertionError):
        suite.test_company_of_a_text_is_irrelevant(Rounds(model="first"))
    suite.tolerance = 1e-2
    suite.test_company_of_a_text_is_irrelevant(Rounds(model="first"))


@pytest.mark.parametrize("method", ["made_again", "another_model"])
def test_a_suite_that_does_not_say_which_models_are_meant_fails(method: str) -> None:
    with pytest.raises(NotImplementedError):
        getattr(EmbedderSuite(), method)()
