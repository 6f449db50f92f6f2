"""The built-in embedder: the same vectors as sentence-transformers, and no answer from damaged files."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer

from session_router.embedders.static import BUILT_IN, StaticEmbedder
from session_router.embedders.wordpiece import READ_TOKENS
from session_router.errors import ConfigurationError
from session_router.testing import EmbedderSuite
from support.nasty_texts import NASTY
from support.shared_data import shared_data

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from session_router.ports import Embedder

EMBEDDER = StaticEmbedder()
NO_SURROGATES = st.characters(exclude_categories=["Cs"])  # sentence-transformers cannot encode them


def changed(folder: Path, change: Callable[[dict[str, Any], bytes], tuple[dict[str, Any], bytes]] | None = None) -> Path:
    """A copy of the built-in folder, with a changed header or changed numbers."""
    shutil.copytree(BUILT_IN, folder)
    if change is not None:
        path = folder / "model.safetensors"
        content = path.read_bytes()
        start = 8 + int.from_bytes(content[:8], "little")
        header, numbers = change(json.loads(content[8:start]), content[start:])
        written = json.dumps(header).encode()
        path.write_bytes(len(written).to_bytes(8, "little") + written + numbers)
    return folder


def flipped(header: dict[str, Any], numbers: bytes) -> tuple[dict[str, Any], bytes]:
    return header, numbers[:1000] + bytes([numbers[1000] ^ 1]) + numbers[1001:]


class TestBuiltIn(EmbedderSuite):
    tolerance = 1e-6

    @pytest.fixture
    def embedder(self, tmp_path: Path) -> Embedder:
        self.directory = tmp_path
        return EMBEDDER

    def made_again(self) -> Embedder:
        return StaticEmbedder(changed(self.directory / "copy"))

    def another_model(self) -> Embedder:
        return StaticEmbedder(changed(self.directory / "flipped", flipped))


@pytest.fixture(scope="module")
def reference() -> SentenceTransformer:
    return SentenceTransformer(str(BUILT_IN), device="cpu", local_files_only=True)


def distance(reference: SentenceTransformer, texts: Sequence[str], embedder: StaticEmbedder = EMBEDDER) -> float:
    """Largest difference of any number, with what sentence-transformers makes of the same folder."""
    return float(np.abs(embedder.embed(texts) - reference.encode(list(texts))).max(initial=0))


def test_sentence_transformers_gives_the_same_vectors(reference: SentenceTransformer, tmp_path: Path) -> None:
    with gzip.open(shared_data("cache_qqp.jsonl.gz"), "rt", encoding="utf-8") as lines:
        recorded = [row["a"] for number, row in enumerate(map(json.loads, lines)) if number % 32 == 0]
    with gzip.open(shared_data("pairs_tldr_cmd.jsonl.gz"), "rt", encoding="utf-8") as lines:
        recorded += [row["b"] for number, row in enumerate(map(json.loads, lines)) if number % 32 == 0]
    assert distance(reference, [*NASTY, *recorded]) < 1e-5

    def rescaled(header: dict[str, Any], numbers: bytes) -> tuple[dict[str, Any], bytes]:
        begin, end = header["weights"]["data_offsets"]
        scales = np.frombuffer(numbers[begin:end], dtype="<f4").copy()
        scales[::2] *= 1.01
        return header, numbers[:begin] + scales.tobytes() + numbers[end:]

    broken = StaticEmbedder(changed(tmp_path / "rescaled", rescaled))
    assert distance(reference, recorded, broken) > 1e-4


@settings(max_examples=60, deadline=None, derandomize=True)
@given(texts=st.lists(st.text(NO_SURROGATES, max_size=80), min_size=1, max_size=20))
def test_any_text_has_the_vector_of_sentence_transformers(texts: list[str], reference: SentenceTransformer) -> None:
    assert distance(reference, texts) < 1e-5


def test_the_built_in_vectors_mean_something() -> None:
    asked, near, far = EMBEDDER.embed(
        ["How can I get a refund for my order?", "I want my money back for what I bought", "list all files of a directory by size"]
    )
    assert asked @ near > asked @ far + 0.1


def test_a_row_is_the_same_to_the_last_bit_in_any_company() -> None:
    texts = ["reset my password", *NASTY, "list all open files", "reset my password"]
    rows = EMBEDDER.embed(texts)
    alone = np.concatenate([EMBEDDER.embed([text]) for text in texts])
    assert rows.tobytes() == alone.tobytes()


def test_what_is_known_of_a_text_is_told_apart_from_nothing() -> None:
    unknown, mixed, known = EMBEDDER.embed(["中文 😀", "中文 order 😀", "order"])
    assert not unknown.any()
    np.testing.assert_allclose(mixed, known, atol=1e-6)


def test_a_long_text_is_read_up_to_a_limit() -> None:
    text = "order " * READ_TOKENS
    np.testing.assert_array_equal(EMBEDDER.embed([text]), EMBEDDER.embed([text + "password" * 1000]))
    assert not np.array_equal(EMBEDDER.embed([text[:-300]]), EMBEDDER.embed([text[:-300] + " password" * 20]))


async def test_a_large_batch_leaves_the_event_loop_free(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    threads: list[str] = []

    def embed(texts: Sequence[str]) -> Any:
        threads.append(threading.current_thread().name)
        return np.zeros((len(texts), 256), dtype=np.float32)

    monkeypatch.setattr(EMBEDDER, "embed", embed)
    await EMBEDDER.aembed(["short"])
    await EMBEDDER.aembed(["long " * 100] * 1000)
    assert threads[0] == threading.main_thread().name != threads[1]


def test_the_artefact_is_small() -> None:
    assert sum(path.stat().st_size for path in BUILT_IN.iterdir()) <= 5_000_000
    assert EMBEDDER.dimension == 256


def test_the_fingerprint_is_that_of_the_files(tmp_path: Path) -> None:
    folder = changed(tmp_path / "copy")
    tokenizer = folder / "tokenizer.json"
    tokenizer.write_bytes(tokenizer.read_bytes() + b" ")
    fingerprints = {EMBEDDER.fingerprint, StaticEmbedder(folder).fingerprint, StaticEmbedder(changed(tmp_path / "f", flipped)).fingerprint}
    assert len(fingerprints) == 3


CHANGES: dict[str, Callable[[dict[str, Any], bytes], tuple[dict[str, Any], bytes]]] = {
    "numbers cut short": lambda header, numbers: (header, numbers[:-1]),
    "numbers too long": lambda header, numbers: (header, numbers + b"\0"),
    "no numbers": lambda header, _: (header, b""),
    "weights are absent": lambda header, numbers: (
        {"embeddings": header["embeddings"]},
        numbers[: header["embeddings"]["data_offsets"][1]],
    ),
    "another name": lambda header, numbers: ({"vectors": header["embeddings"], "weights": header["weights"]}, numbers),
    "unknown type": lambda header, numbers: (header | {"weights": header["weights"] | {"dtype": "F64"}}, numbers),
    "wrong type": lambda header, numbers: (
        header | {"weights": {"dtype": "I8", "shape": [16384, 4], "data_offsets": header["weights"]["data_offsets"]}},
        numbers,
    ),
    "negative offset": lambda header, numbers: (header | {"weights": header["weights"] | {"data_offsets": [-65536, 0]}}, numbers),
    "offset past the end": lambda header, numbers: (
        header | {"weights": header["weights"] | {"data_offsets": [9**9, 9**9 + 65536]}},
        numbers,
    ),
    "offsets as text": lambda header, numbers: (header | {"weights": header["weights"] | {"data_offsets": ["0", "4"]}}, numbers),
    "three offsets": lambda header, numbers: (header | {"weights": header["weights"] | {"data_offsets": [0, 1, 2]}}, numbers),
    "entry is a list": lambda header, numbers: (header | {"weights": []}, numbers),
    "shape of numbers below zero": lambda header, numbers: (header | {"weights": header["weights"] | {"shape": [-1]}}, numbers),
    "another shape": lambda header, numbers: (header | {"embeddings": header["embeddings"] | {"shape": [256, 16384]}}, numbers),
    "not a number": lambda header, numbers: (header, numbers[:-4] + np.float32("nan").tobytes()),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_damaged_weights_are_refused(change: Callable[[dict[str, Any], bytes], tuple[dict[str, Any], bytes]], tmp_path: Path) -> None:
    assert StaticEmbedder(changed(tmp_path / "whole", lambda header, numbers: (header, numbers))).dimension == 256
    with pytest.raises(ConfigurationError, match=r"embedder\.folder"):
        StaticEmbedder(changed(tmp_path / "damaged", change))


@pytest.mark.parametrize("content", [b"", b"\0", b"\0" * 8, b"\x02" + b"\0" * 7 + b"[]", b"\x02" + b"\0" * 7 + b"{x", b"\xff" * 64])
def test_a_file_that_is_none_is_refused(content: bytes, tmp_path: Path) -> None:
    folder = changed(tmp_path / "copy")
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"embedder\.folder"):
        StaticEmbedder(folder)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(data=st.data())
def test_any_cut_or_changed_header_is_refused_or_read(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = changed(tmp_path_factory.mktemp("artefact") / "copy")
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
        with pytest.raises(ConfigurationError):
            StaticEmbedder(folder)
    else:
        content[data.draw(st.integers(0, 180))] = data.draw(st.integers(0, 255))
        path.write_bytes(content)
        try:
            assert StaticEmbedder(folder).embed(["order"]).shape == (1, 256)
        except ConfigurationError as error:
            found = str(error)
            assert "embedder.folder" in found


@pytest.mark.parametrize("absent", ["model.safetensors", "tokenizer.json"])
def test_an_absent_file_is_named(absent: str, tmp_path: Path) -> None:
    folder = changed(tmp_path / "copy")
    (folder / absent).unlink()
    with pytest.raises(ConfigurationError, match=absent):
        StaticEmbedder(folder)


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys; from session_router.embedders.static import StaticEmbedder; StaticEmbedder().embed(['order']); "
        "print([name for name in ('torch', 'tokenizers', 'safetensors', 'transformers') if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
