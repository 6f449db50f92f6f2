"""The embedder without an artefact."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from session_router.embedders import hashing
from session_router.embedders.hashing import READ_CHARACTERS, HashEmbedder
from session_router.testing import EmbedderSuite

if TYPE_CHECKING:
    from session_router.ports import Embedder

TEXTS = ("Where is my order?", "naïve café", "我的订单在哪里", "def f(x): return x", "")


class Another(HashEmbedder):
    """As the next version will be."""

    @property
    def fingerprint(self) -> str:
        return "another"


class TestHash(EmbedderSuite):
    tolerance = 1e-6

    @pytest.fixture
    def embedder(self) -> Embedder:
        return HashEmbedder()

    def made_again(self) -> Embedder:
        return HashEmbedder()

    def another_model(self) -> Embedder:
        return Another()


def test_vectors_are_the_same_in_every_process() -> None:
    code = f"import sys; from session_router.embedders.hashing import HashEmbedder; print(HashEmbedder().embed({TEXTS!r}).tobytes().hex())"
    shown: list[str] = []
    for seed in ("1", "2"):
        environment = {"PYTHONHASHSEED": seed}
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
        shown.append(run.stdout.strip())
    assert shown == [HashEmbedder().embed(TEXTS).tobytes().hex()] * 2


def test_shared_words_are_near_and_others_are_not() -> None:
    asked, near, spelled, far = HashEmbedder().embed(
        [
            "cancel the delivery of my parcel",
            "my parcel: please cancel delivery",
            "cancelled deliveries of parcels",
            "train a neural network",
        ]
    )
    assert asked @ near > asked @ spelled > asked @ far + 0.2
    assert abs(asked @ far) < 0.2


def test_stop_words_count_for_less(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["what is the parcel", "what is the weather", "parcel"]

    def similar() -> tuple[float, float]:
        first, frame, content = HashEmbedder().embed(texts)
        return float(first @ frame), float(first @ content)

    by_frame, by_content = similar()
    assert by_content > by_frame
    monkeypatch.setattr(hashing, "_STOP_WORDS", frozenset())
    by_frame, by_content = similar()
    assert by_content < by_frame


def test_order_of_words_shows() -> None:
    first, second = HashEmbedder().embed(["dog bites man", "man bites dog"])
    assert 0.5 < first @ second < 0.99


def test_only_so_many_characters_are_read() -> None:
    text = "order " * (READ_CHARACTERS // 6) + "order"
    np.testing.assert_array_equal(*(HashEmbedder().embed([text[:READ_CHARACTERS] + tail]) for tail in ("", " password")))


def test_memory_of_words_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    embedder = HashEmbedder()
    texts = [f"word{number} {'y' * number}" for number in range(100)]
    expected = embedder.embed(texts)
    monkeypatch.setattr(hashing, "_REMEMBERED_WORDS", 10)
    small = HashEmbedder()
    np.testing.assert_array_equal(small.embed(texts), expected)
    assert 0 < len(small._slots) <= 10
    assert max(map(len, small._slots)) <= hashing._REMEMBERED_LENGTH
