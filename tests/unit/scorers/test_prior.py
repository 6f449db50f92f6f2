"""What is expected of models that nobody has outcomes of."""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import replace
from math import log
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_router.core.model import ModelName, ModelSpec
from session_router.core.need import Question
from session_router.core.pricing import Prices
from session_router.embedders.hashing import HashEmbedder
from session_router.embedders.static import BUILT_IN, StaticEmbedder
from session_router.embedders.wordpiece import read_wordpiece
from session_router.errors import ConfigurationError
from session_router.scorers.canonical import MAXIMUM_CHARACTERS
from session_router.scorers.inputs import inputs_of
from session_router.scorers.prior import PriorScorer
from session_router.scorers.prior_file import LARGEST_FILE, SHIPPED, prior_text, read_prior
from session_router.scorers.prior_model import HARDEST, LEAST_RELATIVE_PRICE, Prior
from session_router.scorers.prior_prices import relative_prices, stated_size
from support.nasty_texts import NASTY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

EMBEDDER = StaticEmbedder()
SCORER = PriorScorer(EMBEDDER)
PRIOR = read_prior()
TEXTS = st.text(max_size=300) | st.sampled_from(NASTY) | st.sampled_from(["What is 2 + 2?", "Prove that there are infinitely many primes."])
PRICES = st.floats(0.001, 1_000)
FAST, STRONG = ModelName("fast"), ModelName("strong")


def priced(price: float, **fields: Any) -> ModelSpec:
    return ModelSpec(model="openai:some", prices=Prices(input=price / 2, output=price / 2), **fields)


def named(*specs: ModelSpec) -> dict[ModelName, ModelSpec]:
    return {ModelName(f"m{number}"): spec for number, spec in enumerate(specs)}


@st.composite
def models(draw: st.DrawFn) -> dict[ModelName, ModelSpec]:
    skills = st.none() | st.floats(0, 1)
    prices = PRICES | st.just(0.0)
    names = st.sampled_from(["openai:gpt-5", "ollama:llama-3-8b", "vllm:mixtral-8x7b", "my own"])
    return named(
        *(
            replace(priced(price, skill=skill), model=name)
            for price, skill, name in draw(st.lists(st.tuples(prices, skills, names), min_size=1, max_size=5))
        )
    )


@given(TEXTS, models())
def test_every_model_gets_a_need_without_a_certificate(text: str, asked: dict[ModelName, ModelSpec]) -> None:
    needs = SCORER.score(Question(text=text), asked)
    assert set(needs) == set(asked)
    assert all(need.certificate is None and need.low < need.p_success < need.high for need in needs.values())
    # What one is asked about does not depend on the order.
    assert needs == SCORER.score(Question(text=text), dict(reversed(asked.items())))


class TestOnlyThePriceTellsThemApart:
    """A dearer model is never less likely to serve, whatever the text."""

    @staticmethod
    def never_less(prior: Prior, difficulty: float, prices: list[float]) -> bool:
        found = relative_prices(named(*map(priced, prices)), prior)
        chances = [prior.need(difficulty, found[name]).p_success for name in found]
        ordered = [chance for _, chance in sorted(zip(prices, chances, strict=True))]
        return ordered == sorted(ordered)

    @given(st.floats(-HARDEST, HARDEST), st.lists(PRICES, min_size=2, max_size=6))
    def test_dearer_is_never_less_likely(self, difficulty: float, prices: list[float]) -> None:
        assert self.never_less(PRIOR, difficulty, prices)

    def test_a_prior_that_breaks_this_is_caught_and_cannot_be_made(self) -> None:
        broken = replace(PRIOR)
        object.__setattr__(broken, "interaction", -PRIOR.price)
        assert not self.never_less(broken, HARDEST, [1.0, 30.0])
        with pytest.raises(ValueError, match="less likely"):
            replace(PRIOR, interaction=-PRIOR.price)

    @given(TEXTS, st.lists(PRICES, min_size=1, max_size=5), st.sampled_from([0.01, 0.5, 8.0]))
    def test_only_relative_prices_count(self, text: str, prices: list[float], factor: float) -> None:
        one, other = (SCORER.score(Question(text=text), named(*map(priced, some))) for some in (prices, [factor * one for one in prices]))
        assert {name: need.p_success for name, need in one.items()} == pytest.approx(
            {name: need.p_success for name, need in other.items()}, abs=2e-6
        )


def test_more_skill_is_never_less_likely_and_a_tenth_is_half_the_price() -> None:
    asked = {
        "none": priced(9, skill=0.0),
        "some": priced(9, skill=0.9),
        "half": priced(4.5),
        "all": priced(9, skill=1.0),
        "dear": priced(9),
    }
    found = relative_prices({ModelName(name): spec for name, spec in asked.items()}, PRIOR)
    assert found[ModelName("all")] == found[ModelName("dear")] == 0
    assert found[ModelName("some")] == pytest.approx(found[ModelName("half")])
    assert found[ModelName("none")] == LEAST_RELATIVE_PRICE


def test_without_a_price_the_stated_size_counts() -> None:
    asked = named(*(ModelSpec(model=name, prices=Prices(input=0, output=0)) for name in ("ollama:llama-3-70b", "ollama:llama-3-8b", "own")))
    large, small, unknown = relative_prices(asked, PRIOR).values()
    assert large == 0
    assert small == pytest.approx(PRIOR.exponent * log(8 / 70))
    assert unknown is None
    # Beside a model with a price, a size stands for what such models cost.
    _, hosted = relative_prices(named(priced(40), ModelSpec(model="vllm:llama-3-70b")), PRIOR).values()
    assert hosted == pytest.approx(log(PRIOR.dollars * 70**PRIOR.exponent / 40))


def test_of_whom_nothing_is_known_may_be_anything_in_between() -> None:
    weakest, dearest, unknown = PRIOR.need(1.0, -1e9), PRIOR.need(1.0, 0.0), PRIOR.need(1.0, None)
    assert (unknown.low, unknown.high) == (weakest.low, dearest.high)
    assert weakest.p_success < unknown.p_success < dearest.p_success


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("llama-3-70b-instruct", 70), ("ollama:llama3.1:8b", 8), ("Mixtral-8x7B-Instruct-v0.1", 56), ("qwen2.5-0.5b", 0.5),
        ("models/gemma_2_9b_it", 9), ("gpt-4.1-mini", None), ("gpt-4b2", None), ("128bit", None), ("a0b", None), ("", None), ("0b", None),
        ("x" * 100_000 + "-7b", None),
    ],
)  # fmt: skip
def test_sizes_are_read_from_names(name: str, size: float | None) -> None:
    assert stated_size([name]) == size


def test_hard_texts_lower_the_chance_and_the_text_counts_at_all() -> None:
    asked = named(priced(1), priced(40))
    texts = ("Who painted the Mona Lisa?", "Write a function to find the longest palindromic subsequence.\nassert longest('agbdba') == 5")
    easy, hard = (SCORER.score(Question(text=text), asked) for text in texts)
    assert all(hard[name].p_success < easy[name].p_success for name in asked)


@given(st.sampled_from(["汉字", "\u200b", "", "☃"]))
def test_a_text_that_the_embedder_knows_nothing_of_is_near_the_middle(text: str) -> None:
    vectors = EMBEDDER.embed([text])
    assert not vectors.any()
    neutral = replace(PRIOR, direction=PRIOR.direction * ([1.0] * PRIOR.dimension + [0.0] * (len(PRIOR.direction) - PRIOR.dimension)))
    assert neutral.difficulties(vectors, inputs_of([Question(text=text)]).features)[0] == 0


@given(TEXTS, st.lists(st.text(max_size=40), max_size=3))
def test_sync_is_async(text: str, recent: list[str]) -> None:
    question = Question(text=text, recent=tuple(recent))
    asked = named(priced(1), priced(40))
    assert asyncio.run(SCORER.ascore(question, asked)) == SCORER.score(question, asked)


@pytest.mark.parametrize("character", ["word ", "я", "漢", "각", "\ufdfa", "😀", "e\u0301", "क\u093c"])
def test_of_a_long_text_little_is_read_whatever_the_script(character: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def embed(texts: Sequence[str]) -> NDArray[np.float32]:
        read.extend(texts)
        return EMBEDDER.embed(texts)

    watched = StaticEmbedder()
    monkeypatch.setattr(watched, "embed", embed)
    long = (character * 65_536)[:65_536]
    PriorScorer(watched).score(Question(text=long, recent=(long,) * 8), named(priced(1), priced(40)))
    assert [len(text) <= MAXIMUM_CHARACTERS for text in read] == [True]
    assert 0 < len(read_wordpiece(BUILT_IN / "tokenizer.json").encode(read[0])) <= MAXIMUM_CHARACTERS
    # Without the bound it would be thousands more.
    assert len(long) > 20 * MAXIMUM_CHARACTERS


def test_another_embedder_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="StaticEmbedder"):
        PriorScorer(HashEmbedder())


class TestTheFile:
    def test_it_reads_back_to_the_same_text(self) -> None:
        written = SHIPPED.read_text(encoding="ascii")
        trained_on = json.loads(written)["content"]["trained_on"]
        assert prior_text(read_prior(), trained_on=trained_on) == written
        assert len(written) < 8_192

    def test_its_digest_stands_in_the_documentation(self) -> None:
        digest = hashlib.sha256(SHIPPED.read_bytes()).hexdigest()
        page = Path(__file__).resolve().parents[3] / "docs" / "reference" / "prior.md"
        assert digest in page.read_text(encoding="utf-8")

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (lambda file: {**file, "schema": "other"}, "no prior of version"),
            (lambda file: {**file, "version": 2}, "no prior of version"),
            (lambda file: {**file, "content": {**file["content"], "level": 9.0}}, "digest"),
            (lambda file: {**file, "sha256": None}, "digest"),
            (lambda file: [file], "shape"),
            (lambda _: {}, "shape"),
        ],
    )
    def test_a_changed_file_is_refused(self, change: Callable[[Any], Any], words: str, tmp_path: Path) -> None:
        path = tmp_path / "prior.json"
        path.write_text(json.dumps(change(json.loads(SHIPPED.read_bytes()))), encoding="utf-8")
        with pytest.raises(ConfigurationError, match=words):
            read_prior(path)

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"features": ["history_tokens"]}, "other features"),
            ({"level": True}, "out of its range"),
            ({"level": None}, "out of its range"),
            ({"level": 1e300}, "out of its range"),
            ({"spread": -1.0}, "out of its range"),
            ({"interaction": 1.0}, "out of its range"),
            ({"direction": [0.0]}, "out of its range"),
            ({"direction": {}}, "out of its range"),
            ({"feature_spread": [-1.0] * len(PRIOR.scaling.spread)}, "out of its range"),
            ({"embedder": {"dimension": 0, "fingerprint": "x"}}, "out of its range"),
            ({"embedder": None}, "out of its range"),
        ],
    )
    def test_a_number_that_makes_no_sense_is_refused_though_the_digest_fits(
        self, change: Mapping[str, Any], words: str, tmp_path: Path
    ) -> None:
        path = tmp_path / "prior.json"
        file = json.loads(SHIPPED.read_bytes())
        file["content"].update(change)
        body = json.dumps(file["content"], sort_keys=True, separators=(",", ":")).encode()
        path.write_text(json.dumps({**file, "sha256": hashlib.sha256(body).hexdigest()}), encoding="utf-8")
        with pytest.raises(ConfigurationError, match=words):
            read_prior(path)

    @pytest.mark.parametrize("content", [None, b"", b"{", b"\xff", b"[" * 100_000, b"x" * (LARGEST_FILE + 1)])
    def test_what_is_no_file_of_ours_is_refused(self, content: bytes | None, tmp_path: Path) -> None:
        path = tmp_path / "prior.json"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ConfigurationError, match="make prior"):
            read_prior(path)
