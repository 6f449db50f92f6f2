"""The real library, on small encoders that are made here: what is asked of it, and what becomes of its answers."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn

from session_router.embedders.sentence_transformers import SentenceTransformerEmbedder
from session_router.embedders.worker_thread import WorkerThread
from session_router.errors import ConfigurationError, EmbedderUnavailable, MissingExtra, UnusableVectors
from support.encoders import bert, saved, static, tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.encoders import Folders

TEXTS = ["where is my order", "Write a function", "the invoice is wrong"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    return saved(tmp_path_factory.mktemp("encoders"))


class Changed(nn.Module):
    """A last module that does something to the vectors."""

    def __init__(self, change: Callable[[Any], Any]) -> None:
        super().__init__()
        self.change = change

    def forward(self, features: dict[str, Any]) -> dict[str, Any]:
        features["sentence_embedding"] = self.change(features["sentence_embedding"])
        return features


def changed(change: Callable[[Any], Any]) -> SentenceTransformerEmbedder:
    return SentenceTransformerEmbedder(static(tokenizer(), seed=0, then=(Changed(change),)))


# Vectors.


def test_rows_are_the_librarys_own_made_unit(folders: Folders) -> None:
    embedder = SentenceTransformerEmbedder(folders.bert, device="cpu")
    raw = embedder._model.encode(TEXTS, show_progress_bar=False)
    assert np.abs(np.linalg.norm(raw, axis=1) - 1).min() > 0.5  # the model itself does not normalise
    np.testing.assert_allclose(embedder.embed(TEXTS), raw / np.linalg.norm(raw, axis=1, keepdims=True), atol=1e-6)
    assert embedder.dimension == raw.shape[1] == 32


def test_a_loaded_model_and_its_folder_are_one(folders: Folders) -> None:
    named = SentenceTransformerEmbedder(str(folders.bert), device="cpu")
    loaded = SentenceTransformerEmbedder(named._model)
    assert loaded.fingerprint == named.fingerprint
    np.testing.assert_array_equal(loaded.embed(TEXTS), named.embed(TEXTS))


def test_dropout_is_off_in_a_model_that_was_being_trained(folders: Folders) -> None:
    model = SentenceTransformerEmbedder(folders.bert, device="cpu")._model
    expected = SentenceTransformerEmbedder(model).embed(TEXTS)
    model.train()
    with torch.no_grad():
        features = model.tokenize(TEXTS) if not hasattr(model, "preprocess") else model.preprocess(TEXTS)
        assert not torch.equal(model(dict(features))["sentence_embedding"], model(dict(features))["sentence_embedding"])
    np.testing.assert_allclose(SentenceTransformerEmbedder(model).embed(TEXTS), expected, atol=1e-6)


@pytest.mark.parametrize("factor", [1e-30, 1e30])
def test_length_of_raw_vectors_does_not_matter(factor: float) -> None:
    # A square of these is zero or infinite in float32.
    np.testing.assert_allclose(changed(lambda rows: rows * factor).embed(TEXTS), changed(lambda rows: rows).embed(TEXTS), atol=1e-6)


def test_half_precision_becomes_float32() -> None:
    rows = changed(lambda rows: rows.to(torch.float16)).embed(TEXTS)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)


def test_text_in_which_the_model_knows_nothing_has_a_zero_row() -> None:
    rows = changed(lambda rows: rows * 0).embed(["hello", ""])
    assert not rows.any()


def test_nan_is_an_error() -> None:
    answers = iter([1.0, float("nan")])
    embedder = changed(lambda rows: rows * next(answers))
    with pytest.raises(UnusableVectors, match="NaN"):
        embedder.embed(TEXTS)


def test_what_the_model_raises_is_the_cause_and_shows_no_text() -> None:
    def fails(rows: Any) -> Any:
        if len(rows) == len(TEXTS):
            msg = f"cannot read {TEXTS[0]}"
            raise RuntimeError(msg)
        return rows

    embedder = changed(fails)
    with pytest.raises(EmbedderUnavailable, match="RuntimeError") as caught:
        embedder.embed(TEXTS)
    assert TEXTS[0] not in str(caught.value)
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_a_long_text_is_read_by_its_beginning(folders: Folders) -> None:
    embedder = SentenceTransformerEmbedder(folders.static, device="cpu", maximum_characters=8)
    whole = SentenceTransformerEmbedder(folders.static, device="cpu")
    assert np.array_equal(embedder.embed(["where is my order"]), embedder.embed(["where is"]))
    assert not np.allclose(whole.embed(["where is my order"]), whole.embed(["where is"]))


def test_a_prompt_stands_before_each_text(folders: Folders) -> None:
    prompted = SentenceTransformerEmbedder(folders.static, device="cpu", prompt="query ")
    plain = SentenceTransformerEmbedder(folders.static, device="cpu")
    np.testing.assert_allclose(prompted.embed(TEXTS), plain.embed([f"query {text}" for text in TEXTS]), atol=1e-6)
    assert prompted.fingerprint != plain.fingerprint


# Fingerprints.


def test_fingerprints_tell_models_apart(folders: Folders, tmp_path: Path) -> None:
    def of(model: Any, **settings: Any) -> str:
        return SentenceTransformerEmbedder(model, **settings).fingerprint

    one_weight = static(tokenizer(), seed=0)
    with torch.no_grad():
        one_weight[0].embedding.weight[7, 3] += 1e-6
    shorter = bert(tmp_path / "shorter", tokenizer(), seed=0)
    shorter.max_seq_length = 32
    cut = static(tokenizer(), seed=0)
    cut.truncate_dim = 8
    prompted = static(tokenizer(), seed=0)
    prompted.prompts, prompted.default_prompt_name = {"query": "query: "}, "query"
    different = [
        of(folders.bert, device="cpu"),
        of(folders.other_bert, device="cpu"),
        of(shorter),
        of(static(tokenizer(), seed=0)),
        of(static(tokenizer(), seed=1)),
        of(static(tokenizer(), seed=0).half()),
        of(one_weight),
        of(cut),
        of(prompted),
        of(static(tokenizer(lowercase=False), seed=0)),
        of(static(tokenizer(), seed=0), maximum_characters=100),
    ]
    assert len(set(different)) == len(different)
    assert all(len(one) == 64 for one in different)


def test_fingerprint_does_not_depend_on_place_or_use(folders: Folders, tmp_path: Path) -> None:
    embedder = SentenceTransformerEmbedder(folders.bert, device="cpu", batch=2)
    embedder.embed([*TEXTS, "long " * 500])
    embedder._model.save(str(tmp_path / "elsewhere"))  # type: ignore[attr-defined]
    for model in (embedder._model, tmp_path / "elsewhere", folders.bert):
        assert SentenceTransformerEmbedder(model, device="cpu", batch=7).fingerprint == embedder.fingerprint


class OutsideTorch(nn.Module):
    """A module as the library has it for networks that run elsewhere: no weights of its own."""

    def __init__(self, path: Path | None) -> None:
        super().__init__()
        self.auto_model = type("Network", (), {"path": path})()

    def get_config_dict(self) -> dict[str, Any]:
        return {}

    def forward(self, features: dict[str, Any]) -> dict[str, Any]:
        return features


def test_weights_of_an_onnx_file_count_with_their_external_data(tmp_path: Path) -> None:
    def fingerprint(file: Path | None) -> str:
        return SentenceTransformerEmbedder(static(tokenizer(), seed=0, then=(OutsideTorch(file),))).fingerprint

    first, second = tmp_path / "first" / "model.onnx", tmp_path / "second" / "model.onnx"
    for file in (first, second):
        file.parent.mkdir()
        file.write_bytes(b"graph")
        file.with_name("model.onnx_data").write_bytes(b"weights")
    before = fingerprint(first)
    assert fingerprint(second) == before
    second.with_name("model.onnx_data").write_bytes(b"Weights")
    assert fingerprint(second) != before
    first.write_bytes(b"Graph")
    assert fingerprint(first) not in {before, fingerprint(second)}
    with pytest.raises(ConfigurationError, match="weights cannot be read"):
        fingerprint(None)


# Loading.


def test_without_the_package_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingExtra, match=r"sentence-transformers.*session-router\[encoders\]"):
        SentenceTransformerEmbedder("any")


def test_onnx_without_its_runtime_is_an_error_that_says_what_to_install(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnxruntime" else there("json"))
    with pytest.raises(ConfigurationError, match=r"sentence-transformers\[onnx\]"):
        SentenceTransformerEmbedder(folders.bert, backend="onnx")


def test_unknown_backend_is_an_error(folders: Folders) -> None:
    with pytest.raises(ConfigurationError, match="`backend` is 'tensorflow'"):
        SentenceTransformerEmbedder(folders.bert, backend="tensorflow")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["nobody/has-this-model", "no-such-folder/below/here"])
def test_a_model_that_is_not_here_is_an_error_at_once(name: str) -> None:
    # Sockets are closed in tests: a look at the hub would fail in another way.
    with pytest.raises(ConfigurationError, match=r"local_files_only=False") as caught:
        SentenceTransformerEmbedder(name, device="cpu")
    assert name in str(caught.value)


def test_weights_that_are_a_pickle_are_not_read(folders: Folders, tmp_path: Path) -> None:
    pickled = tmp_path / "pickled"
    SentenceTransformerEmbedder(folders.bert, device="cpu")._model.save(str(pickled))  # type: ignore[attr-defined]
    (weights,) = pickled.rglob("model.safetensors")
    weights.unlink()
    torch.save({}, weights.with_name("pytorch_model.bin"))
    with pytest.raises(ConfigurationError, match="cannot be loaded"):
        SentenceTransformerEmbedder(pickled, device="cpu")


@pytest.mark.parametrize("key", ["batch", "maximum_characters"])
def test_settings_are_checked(folders: Folders, key: str) -> None:
    with pytest.raises(ConfigurationError, match=f"`{key}` is 0"):
        SentenceTransformerEmbedder(folders.bert, **{key: 0})


# The event loop.


class BlocksTheLoop(SentenceTransformerEmbedder):
    async def aembed(self, texts: Any) -> Any:
        return self.embed(texts)


@pytest.mark.parametrize(("kind", "turns"), [(SentenceTransformerEmbedder, True), (BlocksTheLoop, False)])
async def test_the_loop_turns_while_a_slow_model_works(kind: type[SentenceTransformerEmbedder], *, turns: bool) -> None:
    released, seen = threading.Event(), []

    def waits(rows: Any) -> Any:
        if len(rows) == len(TEXTS):
            # Only the loop can end this wait before its time.
            seen.append(released.wait(20 if turns else 0.1))
        return rows

    embedder = kind(static(tokenizer(), seed=0, then=(Changed(waits),)))
    embedding = asyncio.create_task(embedder.aembed(TEXTS))
    for _ in range(100):
        await asyncio.sleep(0)
    released.set()
    assert (await embedding).shape == (3, 16)
    assert seen == [turns]


class LoopsThreads(WorkerThread):
    async def run(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        return await asyncio.to_thread(function, *args, **kwargs)


@pytest.mark.parametrize(("thread", "free"), [(WorkerThread, True), (LoopsThreads, False)])
async def test_waiting_for_the_model_takes_no_thread_of_the_loop(thread: type[WorkerThread], *, free: bool) -> None:
    released = threading.Event()

    def waits(rows: Any) -> Any:
        if len(rows) == len(TEXTS):
            assert released.wait(20)
        return rows

    embedder = changed(waits)
    embedder._thread = thread()
    # More than the loop has threads of its own.
    embedding = [asyncio.create_task(embedder.aembed(TEXTS)) for _ in range(64)]
    await asyncio.sleep(0)
    other = asyncio.create_task(asyncio.to_thread(lambda: None))
    done, _ = await asyncio.wait([other], timeout=20 if free else 0.1)
    released.set()
    assert bool(done) is free
    assert len(await asyncio.gather(*embedding)) == 64
    await other


@pytest.mark.parametrize(("guard", "together"), [(None, 1), (nullcontext(), 4)])
def test_threads_take_turns(guard: Any, together: int) -> None:
    inside, most, company = [], [], threading.Barrier(4)

    def counts(rows: Any) -> Any:
        if len(rows) == len(TEXTS):
            inside.append(1)
            with suppress(threading.BrokenBarrierError):
                # All four meet here, unless they take turns.
                company.wait(0.05 if guard is None else 20)
            most.append(len(inside))
            inside.pop()
        return rows

    embedder = changed(counts)
    if guard is not None:
        embedder._guard = guard
    with ThreadPoolExecutor(4) as threads:
        assert all(rows.shape == (3, 16) for rows in threads.map(embedder.embed, [TEXTS] * 4))
    assert max(most) == together
