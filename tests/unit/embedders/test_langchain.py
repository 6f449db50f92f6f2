"""Embeddings of LangChain: what is asked of them, what becomes of their answers, and which model they are."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings

from session_router.embedders.langchain import LangChainEmbedder
from session_router.errors import ConfigurationError, EmbedderUnavailable, UnusableVectors

TEXTS = ["where is my order", "hello", "where"]


class Remembers(Embeddings):
    """Answers with vectors of length 3, and remembers what it was asked."""

    model = "letters"

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.asked.append(texts)
        return [[len(text), text.count("e"), 2.0] for text in texts]

    def embed_query(self, text: str) -> list[float]:
        raise AssertionError(text)


class Answers:
    """Not of LangChain, and without an async method: answers what it is told."""

    def __init__(self, *answers: Any) -> None:
        self.answers = iter(answers)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        answer = next(self.answers)
        if isinstance(answer, Exception):
            raise answer
        return answer(texts) if callable(answer) else answer


def named(*answers: Any, **settings: Any) -> LangChainEmbedder:
    return LangChainEmbedder(Answers(*answers), name="m", **settings)


def test_rows_are_the_embeddings_own_made_unit() -> None:
    inner = DeterministicFakeEmbedding(size=12)
    raw = np.array(inner.embed_documents(TEXTS))
    rows = LangChainEmbedder(inner, name="fake").embed(TEXTS)
    np.testing.assert_allclose(rows, raw / np.linalg.norm(raw, axis=1, keepdims=True), atol=1e-6)


async def test_empty_texts_are_not_asked_for_and_others_are_fit_to_send() -> None:
    inner = Remembers()
    embedder = LangChainEmbedder(inner, maximum_characters=5)
    rows = embedder.embed(["", "hello world", "a\ud800", ""])
    assert inner.asked == [["hello", "a\ufffd"]]
    assert [bool(row.any()) for row in rows] == [False, True, True, False]
    assert (await embedder.aembed(["", ""])).shape == embedder.embed(["", ""]).shape == (2, 3)
    assert len(inner.asked) == 1


# The dimension.


async def test_dimension_comes_with_the_first_answer() -> None:
    inner = Remembers()
    embedder = LangChainEmbedder(inner)
    await embedder.aembed(TEXTS)
    assert embedder.dimension == 3
    assert inner.asked == [TEXTS]


async def test_dimension_is_asked_for_when_nothing_else_was_and_once_only() -> None:
    async def learned(embedder: LangChainEmbedder, way: str) -> Any:
        if way == "property":
            return embedder.dimension
        texts = ["", ""]
        return (await embedder.aembed(texts) if way == "async" else embedder.embed(texts)).shape

    for way, expected in (("property", 3), ("sync", (2, 3)), ("async", (2, 3))):
        inner = Remembers()
        embedder = LangChainEmbedder(inner)
        for _ in range(3):
            assert await learned(embedder, way) == expected
        assert len(inner.asked) == 1


def test_stated_dimension_is_not_asked_for_and_holds() -> None:
    inner = Remembers()
    assert LangChainEmbedder(inner, dimension=3).dimension == 3
    assert LangChainEmbedder(inner, dimension=3).embed([]).shape == (0, 3)
    assert not inner.asked
    with pytest.raises(UnusableVectors, match=r"expected vectors of shape \(3, 4\), and there were \(3, 3\)"):
        LangChainEmbedder(inner, dimension=4).embed(TEXTS)


# Answers that are none.


@pytest.mark.parametrize(
    "answer",
    [
        [[1.0, 2.0]],  # one vector for two texts
        [[1.0, 2.0]] * 3,
        [[1.0, 2.0], [1.0]],
        [[1.0, 2.0, 3.0]] * 2,  # another length than before
        [[], []],
        [1.0, 2.0],
        [[1.0, float("nan")]] * 2,
        [[1.0, float("inf")]] * 2,
        [["a", "b"]] * 2,
        [[None, 1.0]] * 2,
        None,
    ],
    ids=str,
)
async def test_unusable_vectors_are_an_error(answer: Any) -> None:
    sound = [[1.0, 2.0]] * 2
    embedder = named(sound, answer, answer, sound)
    embedder.embed(["a", "b"])
    with pytest.raises(UnusableVectors, match="`m`"):
        embedder.embed(["a", "b"])
    with pytest.raises(UnusableVectors):
        await embedder.aembed(["a", "b"])
    assert embedder.embed(["a", "b"]).shape == (2, 2)


@pytest.mark.parametrize("answer", [[[], []], [1.0, 2.0], None, 1.0], ids=str)
def test_the_first_answer_must_be_vectors_too(answer: Any) -> None:
    with pytest.raises(UnusableVectors):
        named(answer).embed(["a", "b"])


async def test_what_the_embeddings_raise_is_the_cause_and_shows_no_text() -> None:
    class Fails(Remembers):
        async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
            raise ConnectionError(texts[0])

    for embedder in (named(ConnectionError(TEXTS[0])), LangChainEmbedder(Fails())):
        with pytest.raises(EmbedderUnavailable, match="ConnectionError") as caught:
            await embedder.aembed(TEXTS)
        assert TEXTS[0] not in str(caught.value)
        assert isinstance(caught.value.__cause__, ConnectionError)
    with pytest.raises(EmbedderUnavailable, match="`m` gave no vectors"):
        named(ConnectionError()).embed(TEXTS)


# Which model it is.


def test_fingerprints_tell_models_apart() -> None:
    def stating(**attributes: Any) -> Remembers:
        inner = Remembers()
        vars(inner).update(attributes)
        return inner

    class Other(Remembers):
        pass

    different = [
        LangChainEmbedder(stating()),
        LangChainEmbedder(stating(model="letters-2")),
        LangChainEmbedder(stating(dimensions=2)),
        LangChainEmbedder(stating(deployment="here")),
        LangChainEmbedder(Other()),
        LangChainEmbedder(stating(), maximum_characters=10),
        LangChainEmbedder(stating(), name="letters"),
        LangChainEmbedder(stating(), name="letters at 1"),
    ]
    assert len({one.fingerprint for one in different}) == len(different)
    assert LangChainEmbedder(stating()).fingerprint == LangChainEmbedder(stating(), dimension=3).fingerprint
    assert LangChainEmbedder(Other(), name="n").fingerprint == LangChainEmbedder(stating(), name="n").fingerprint


def test_embeddings_that_do_not_say_which_model_they_are_need_a_name() -> None:
    with pytest.raises(ConfigurationError, match=r"`name` is None; `DeterministicFakeEmbedding` does not say"):
        LangChainEmbedder(DeterministicFakeEmbedding(size=4))
    assert LangChainEmbedder(DeterministicFakeEmbedding(size=4), name="fake").dimension == 4


@pytest.mark.parametrize("settings", [{"dimension": 0}, {"maximum_characters": 0}], ids=str)
def test_settings_are_checked(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="above 0"):
        LangChainEmbedder(Remembers(), **settings)
    with pytest.raises(ConfigurationError, match="embed_documents"):
        LangChainEmbedder(object(), name="n")  # type: ignore[arg-type]


def test_langchain_is_not_imported() -> None:
    code = "import sys, session_router.embedders.langchain, session_router.embedders.sentence_transformers as s; "
    code += "print(sorted({'langchain_core', 'torch', 'sentence_transformers', 'transformers', 'asyncio'} & {*sys.modules}))"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert printed.stdout == "['asyncio']\n"


# The event loop.


async def test_async_method_is_used_where_there_is_one() -> None:
    class Asynchronous(Remembers):
        async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
            await asyncio.sleep(0)
            return [[1.0, float(len(text))] for text in texts]

    assert (await LangChainEmbedder(Asynchronous()).aembed(TEXTS)).shape == (3, 2)
    assert LangChainEmbedder(Asynchronous()).embed(TEXTS).shape == (3, 3)


class BlocksTheLoop(LangChainEmbedder):
    async def aembed(self, texts: Any) -> Any:
        return self.embed(texts)


class Slow(Remembers):
    """Has the async method that LangChain's base class gives it."""

    def __init__(self, wait: Any) -> None:
        super().__init__()
        self.wait = wait

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.wait()
        return super().embed_documents(texts)


class SlowWithoutAsync:
    model = "slow"

    def __init__(self, wait: Any) -> None:
        self.embed_documents = Slow(wait).embed_documents


@pytest.mark.parametrize("model", [Slow, SlowWithoutAsync])
@pytest.mark.parametrize(("kind", "turns"), [(LangChainEmbedder, True), (BlocksTheLoop, False)])
async def test_the_loop_turns_while_a_slow_model_works(kind: type[LangChainEmbedder], *, turns: bool, model: Any) -> None:
    released, seen = threading.Event(), []
    # Only the loop can end this wait before its time.
    embedder = kind(model(lambda: seen.append(released.wait(20 if turns else 0.1))))
    embedding = asyncio.create_task(embedder.aembed(TEXTS))
    for _ in range(100):
        await asyncio.sleep(0)
    released.set()
    assert (await embedding).shape == (3, 3)
    assert seen == [turns]
