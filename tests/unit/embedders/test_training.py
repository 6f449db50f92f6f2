"""The training of the built-in embedder: it learns, it repeats itself, and it never sees what it is measured on."""

from __future__ import annotations

import gzip
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

from session_router.embedders.static import BUILT_IN, StaticEmbedder

if TYPE_CHECKING:
    from types import SimpleNamespace

ROOT = Path(__file__).resolve().parents[3]
RECORDED = ("pairs_wn_def", "pairs_wn_ex_hyper", "pairs_wn_syn", "pairs_tldr_cmd", "pairs_tldr_desc")
ANIMALS = ("cat", "dog", "horse", "sheep", "goat", "duck", "bear", "wolf", "mouse", "whale", "snake", "eagle")
THINGS = ("roof", "song", "river", "paper", "bridge", "engine", "window", "garden", "letter", "needle", "bottle", "candle")
PAIRS = [(one, f"the {other}") for one, other in zip(ANIMALS, THINGS, strict=True)]


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    from types import SimpleNamespace

    from train_embedder import __main__, artefact, docstrings, letters, pairs, training, vocabulary

    return SimpleNamespace(
        main=__main__, artefact=artefact, docstrings=docstrings, letters=letters, pairs=pairs, training=training, vocabulary=vocabulary
    )


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with a few pairs of each source, and a few evaluation texts."""

    def write(name: str, rows: list[dict[str, Any]]) -> None:
        with gzip.open(tmp_path / f"{name}.jsonl.gz", "wt", encoding="utf-8") as lines:
            lines.writelines(json.dumps(row) + "\n" for row in rows)

    for name in RECORDED:
        write(name, [{"a": a, "b": b} for a, b in PAIRS])
    write("intents_banking77", [{"text": "Where is my card?", "intent": "card", "split": "test"}])
    write("intents_clinc150", [{"text": "Cat!", "intent": "animal", "split": "test"}])
    write("cache_qqp", [{"a": "How does one build a bridge?", "b": "?", "label": 0}])
    return tmp_path


@pytest.fixture
def short(tool: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A training of seconds."""
    recipe = replace(tool.training.SHIPPED, dimension=16, epochs=6, batch=8, scales=(20.0, 10.0), shares={})
    monkeypatch.setattr(tool.main, "SHIPPED", recipe)
    monkeypatch.setattr(tool.pairs, "docstring_pairs", lambda _: [("json.loads s", "Read a value from a text.")] * 8)


@pytest.mark.usefixtures("short")
def test_the_same_training_twice_gives_the_same_bytes(
    tool: SimpleNamespace, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bytes_of(name: str) -> bytes:
        tool.main.main(["--data", str(data), "--out", str(tmp_path / name)])
        return (tmp_path / name / "model.safetensors").read_bytes()

    first = bytes_of("first")
    assert bytes_of("second") == first
    monkeypatch.setattr(tool.main, "SHIPPED", replace(tool.main.SHIPPED, seed=1))
    assert bytes_of("another seed") != first


@pytest.mark.usefixtures("short")
def test_a_check_writes_nothing_and_tells_other_weights(
    tool: SimpleNamespace, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = ["--data", str(data), "--out", str(out)]
    tool.main.main(arguments)
    path = out / "model.safetensors"
    weights = path.read_bytes()
    digest = hashlib.sha256(weights).hexdigest()
    capsys.readouterr()
    tool.main.main([*arguments, "--check"])
    assert capsys.readouterr().out.count(digest) == 2
    path.write_bytes(weights[:-1] + bytes([weights[-1] ^ 1]))
    with pytest.raises(SystemExit, match="not the same"):
        tool.main.main([*arguments, "--check"])
    assert path.read_bytes() != weights


@pytest.mark.usefixtures("short")
def test_training_tells_what_it_used_and_writes_what_loads(
    tool: SimpleNamespace, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tool.main.main(["--data", str(data), "--out", str(tmp_path / "out")])
    shown = capsys.readouterr().out
    assert "pairs_wn_def: 12 pairs; 1 were removed" in shown
    assert "docstrings: 8 pairs; 0 were removed" in shown
    embedder = StaticEmbedder(tmp_path / "out")
    assert embedder.fingerprint in shown
    assert embedder.dimension == 16
    dog, its_thing, another = embedder.embed([ANIMALS[1], THINGS[1], THINGS[5]])
    assert dog @ its_thing > dog @ another + 0.3
    assert not embedder.embed(["\N{SNOWMAN}"]).any()


def test_the_built_in_files_are_those_that_the_writer_writes(tool: SimpleNamespace, tmp_path: Path) -> None:
    tensors = load_safetensors((BUILT_IN / "model.safetensors").read_bytes())
    vectors = tensors["embeddings"].astype(np.float32) * tensors["weights"][:, None]
    tool.artefact.write_artefact(tmp_path, vectors, (BUILT_IN / "tokenizer.json").read_bytes())
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in BUILT_IN.iterdir()}
    for path in BUILT_IN.iterdir():
        if path.suffix == ".json":
            assert (tmp_path / path.name).read_bytes() == path.read_bytes()
    again = load_safetensors((tmp_path / "model.safetensors").read_bytes())
    np.testing.assert_array_equal(again["embeddings"], tensors["embeddings"])


def test_our_safetensors_are_those_of_the_library(tool: SimpleNamespace) -> None:
    tensors = {"embeddings": np.arange(-6, 6, dtype=np.int8).reshape(3, 4), "weights": np.array([0.5, 0, 2], dtype=np.float32)}
    loaded = load_safetensors(tool.artefact.safetensors(tensors))
    assert loaded.keys() == load_safetensors(save_safetensors(tensors)).keys()
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(loaded[name], tensor)
        assert loaded[name].dtype == tensor.dtype


def test_quantising_loses_half_a_step_at_most(tool: SimpleNamespace) -> None:
    vectors = np.random.default_rng(0).normal(0, 3, (50, 16)).astype(np.float32)
    vectors[7] = 0
    rows, scales = tool.artefact.quantised(vectors)
    assert (np.abs(rows * scales[:, None] - vectors).max(axis=1) <= scales * 0.5001).all()
    assert not rows[7].any()
    assert not scales[7]


@pytest.mark.parametrize(
    ("side", "kept"),
    [
        ("where is my CARD", False),
        ("Where is my card now?", True),
        ("how does one build a bridge", False),
        ("tell me: how does one build a bridge over a river?", False),
        ("how does one build a boat", True),
        ("build a bridge", True),
        ("...", True),
    ],
)
def test_pairs_that_hold_an_evaluation_text_are_removed(tool: SimpleNamespace, side: str, kept: bool) -> None:
    evaluation = ["Where is my card?", "How does one build a bridge?", "?"]
    for pair in ((side, "something"), ("something", side)):
        assert tool.pairs.without([pair], evaluation) == [pair] * kept


def test_names_are_what_begins_with_a_capital_nearly_everywhere(tool: SimpleNamespace) -> None:
    # The first word of a text says nothing, and one in ten may be small.
    texts = ["The river in Oslo", "the iPhone of Ann", *["a ride to Oslo"] * 8, "a ride to oslo", "to Ride", "Berlin", "no 7th Cat, a cat"]
    assert tool.pairs.names_in(texts) == {"oslo", "ann"}
    assert tool.pairs.names_in([*texts, "to oslo"]) == {"ann"}


def test_docstrings_are_read_without_importing(tool: SimpleNamespace, tmp_path: Path) -> None:
    (tmp_path / "kitchen.py").write_text(
        'raise SystemExit\n\nclass Oven:\n    """A thing that is hot.\n\n    More of it."""\n\n'
        '    def bake(self, bread, *, minutes):\n        """Bake the bread\n        for some minutes."""\n\n'
        '    def off(self):\n        "Stop."\n',
        encoding="utf-8",
    )
    (tmp_path / "odd.py").write_text("print 'an older grammar'\n", encoding="utf-8")
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "one.py").write_text('"""Of no use to anybody here."""\n', encoding="utf-8")
    assert tool.docstrings.docstring_pairs(tmp_path) == [
        ("kitchen.Oven", "A thing that is hot."),
        ("Oven.bake bread minutes", "Bake the bread for some minutes."),
    ]


def test_a_new_vocabulary_is_one_that_we_read(tool: SimpleNamespace, tmp_path: Path) -> None:
    from session_router.embedders.wordpiece import read_wordpiece

    path = tmp_path / "tokenizer.json"
    tool.vocabulary.write_vocabulary(["the cat and the dog", "cats and dogs"] * 5, path, size=60, limit=7)
    wordpiece = read_wordpiece(path)
    assert len(wordpiece.encode("the cat and the dog [UNK]" * 5)) == 7 == wordpiece.limit
    settings, built_in = (json.loads(file.read_bytes()) for file in (path, BUILT_IN / "tokenizer.json"))
    assert {key: built_in[key] for key in ("normalizer", "pre_tokenizer", "added_tokens")} == {
        key: settings[key] for key in ("normalizer", "pre_tokenizer", "added_tokens")
    }


def test_the_same_text_twice_in_a_batch_is_not_a_wrong_answer(tool: SimpleNamespace) -> None:
    import torch

    vectors = torch.tensor([[0.0, 1], [1, 0], [0, 1], [-1, 0]])

    def loss(*pairs: tuple[list[int], list[int]]) -> float:
        return float(tool.training._loss(vectors, pairs, unknown=0, scale=20.0, tokens=96))

    once = loss(([1], [1]), ([3], [3]))
    assert loss(([1], [1]), ([1], [1]), ([3], [3])) == pytest.approx(once, abs=1e-6)
    assert loss(([1], [1]), ([1, 2], [1]), ([3], [3])) < 0.1
    assert loss(([1], [3]), ([3], [1])) > 10
    # What is not in the vocabulary is passed over, in a text and at its end.
    assert loss(([1, 0], [1]), ([3], [0, 3])) == pytest.approx(once, abs=1e-6)


TOKENS = ("[UNK]", "can", "7", "seven", "##7", "##can", "me", "x7", "oslo", "##oslo", "how", *(f"word{letter}" for letter in "abcdefghij"))
SOURCES = {"one": [([number], [number + 10]) for number in range(1, 11)]}


@pytest.fixture
def small(tool: SimpleNamespace) -> Any:
    """A recipe for `SOURCES`."""
    return replace(tool.training.SHIPPED, dimension=4, epochs=2, batch=4, scales=(20.0, 10.0), shares={})


def test_words_that_ask_numbers_and_names_are_weighted_and_nothing_else(tool: SimpleNamespace, small: Any) -> None:
    def trained(asking: float, counting: float, naming: float) -> Any:
        recipe = replace(small, asking=asking, counting=counting, naming=naming)
        return tool.training.train(SOURCES, tokens=TOKENS, unknown=0, names={"oslo"}, recipe=recipe, tell=lambda _: None)

    whole, weighted = trained(1.0, 1.0, 1.0), trained(0.5, 2.0, 4.0)
    factors = np.ones((len(TOKENS), 1), dtype=np.float32)
    factors[[TOKENS.index("can"), TOKENS.index("me")]] = 0.5
    factors[[TOKENS.index("7"), TOKENS.index("##7")]] = 2
    factors[TOKENS.index("oslo")] = 4
    np.testing.assert_array_equal(weighted, whole * factors)
    assert not whole[0].any()
    assert whole[1:].any(axis=1).all()


def test_lengths_are_evened_and_directions_kept(tool: SimpleNamespace, small: Any) -> None:
    one, root = (
        tool.training.train(
            SOURCES, tokens=TOKENS, unknown=0, recipe=replace(small, asking=1, counting=1, lengths=power), tell=lambda _: None
        )
        for power in (1.0, 0.5)
    )
    lengths = np.linalg.norm(one, axis=1, keepdims=True)
    assert lengths[0] == 0
    assert not root[0].any()
    np.testing.assert_allclose(root[1:] * np.sqrt(lengths[1:]), one[1:], rtol=1e-5)


@pytest.mark.parametrize(
    ("token", "runs"),
    [("card", ["<ca", "car", "ard", "<car", "card"]), ("##ing", ["ing"]), ("a", []), ("##a", []), ("at", ["<at"])],
)
def test_runs_of_letters_know_where_a_word_begins(tool: SimpleNamespace, token: str, runs: list[str]) -> None:
    assert tool.letters.runs_of(token, (3, 4)) == runs


def test_a_token_learns_from_those_that_share_its_letters(tool: SimpleNamespace, small: Any) -> None:
    tokens = ["[UNK]", "payment", "pay", "river", "repayment", "money", "water"]
    sources = {"one": [([1], [5]), ([3], [6])]}

    def nearer_to_money_than_to_water(letters: float) -> float:
        recipe = replace(small, dimension=64, epochs=60, batch=2, letters=letters)
        vectors = tool.training.train(sources, tokens=tokens, unknown=0, recipe=recipe, tell=lambda _: None)
        vectors[1:] /= np.linalg.norm(vectors[1:], axis=1, keepdims=True)
        # "repayment" stands in no pair.
        return float(vectors[4] @ (vectors[5] - vectors[6]))

    assert nearer_to_money_than_to_water(1.0) > 0.3
    assert abs(nearer_to_money_than_to_water(0.0)) < 0.3


def test_the_mean_of_two_trainings_is_not_one_of_them(tool: SimpleNamespace, small: Any) -> None:
    told: list[str] = []
    for scales in ((20.0,), (20.0, 10.0)):
        tool.training.train(SOURCES, tokens=TOKENS, unknown=0, recipe=replace(small, scales=scales), tell=told.append)
    assert [line for line in told if "training" in line] == [
        "training 1 of 1, scale 20.0",
        "training 1 of 2, scale 20.0",
        "training 2 of 2, scale 10.0",
    ]
    # The first of two is the first alone.
    assert told[1:3] == told[4:6]
    assert told[4:6] != told[7:9]


def test_the_data_card_is_about_the_built_in_weights() -> None:
    page = (ROOT / "docs" / "reference" / "embedder.md").read_text(encoding="utf-8")
    assert StaticEmbedder().fingerprint in page
    assert hashlib.sha256((BUILT_IN / "model.safetensors").read_bytes()).hexdigest() in page
    assert f"{sum(path.stat().st_size for path in BUILT_IN.iterdir()):,} bytes" in page
