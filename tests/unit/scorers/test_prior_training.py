"""The training of the prior: it learns, it repeats itself, and its interval is honest about families it has not seen."""

from __future__ import annotations

import json
from math import inf, isinf
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from session_router.embedders.static import StaticEmbedder
from session_router.scorers.prior_file import SHIPPED, read_prior
from session_router.scorers.prior_model import HARDEST
from support.shared_data import shared_data

ROOT = Path(__file__).resolve().parents[3]
EMBEDDER = StaticEmbedder()
FIRST_OF_THE_SMALL = 15_361 + 1_700
"""Line from which on the families are small."""


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    from train_prior import __main__, outcomes, spread, training

    return SimpleNamespace(main=__main__, outcomes=outcomes, spread=spread, training=training)


@pytest.fixture
def data() -> Path:
    return shared_data("prices.json").parent


def test_the_shipped_numbers_are_what_the_outcomes_give(tool: SimpleNamespace, data: Path) -> None:
    """All but the interval, which takes longer; its method is tested below."""
    outcomes = tool.outcomes.read_outcomes(data, EMBEDDER)
    assert json.loads(SHIPPED.read_bytes())["content"]["trained_on"] == outcomes.digest
    everything = np.ones(len(outcomes.scores), dtype=np.bool_)
    trained = tool.training.train(outcomes, EMBEDDER, everything, sizes=tool.training.prices_of_sizes(tool.outcomes.listed_prices(data)))
    shipped = read_prior()
    for name in ("level", "harder", "price", "interaction", "centre", "dollars", "exponent"):
        assert getattr(trained, name) == pytest.approx(getattr(shipped, name), abs=1e-4), name
    np.testing.assert_allclose(trained.direction, shipped.direction, atol=1e-4)
    assert shipped.fingerprint == EMBEDDER.fingerprint
    # Other outcomes give other numbers.
    without = tool.training.train(outcomes, EMBEDDER, outcomes.families[outcomes.asked] != "mbpp")
    assert not np.allclose(without.direction, shipped.direction, atol=1e-4)


def test_the_tool_writes_what_can_be_read_and_says_what_it_covers(
    tool: SimpleNamespace, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def few(folder: Path, embedder: StaticEmbedder) -> object:
        return tool.outcomes.read_outcomes(folder, embedder, keep=lambda number: number % 12 == 0 or number >= FIRST_OF_THE_SMALL)

    monkeypatch.setattr(tool.main, "read_outcomes", few)
    texts = []
    for _ in range(2):
        tool.main.main(["--data", str(data), "--out", str(tmp_path / "prior.json")])
        texts.append((tmp_path / "prior.json").read_bytes())
    assert texts[0] == texts[1]
    prior = read_prior(tmp_path / "prior.json")
    assert prior.spread > 0
    printed = capsys.readouterr().out
    for words in ("SHA-256", "alfworld: an interval from the others", "in the mean over families"):
        assert words in printed


def test_a_family_and_its_lineage_are_never_trained_on_when_they_are_left_out(
    tool: SimpleNamespace, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = tool.outcomes.read_outcomes(data, EMBEDDER, keep=lambda number: number % 40 == 0 or number >= FIRST_OF_THE_SMALL)
    families, lineages = outcomes.families[outcomes.asked], outcomes.lineages
    counted: list[np.ndarray] = []
    train = tool.training.train

    def watching(outcomes: object, embedder: StaticEmbedder, some: np.ndarray, **sizes: object) -> object:
        counted.append(some)
        return train(outcomes, embedder, some, **sizes)

    def leaks(asked: np.ndarray, some: np.ndarray) -> int:
        """Scores that were trained on though they are of a family or a lineage that is asked about."""
        return int((some & (np.isin(families, families[asked]) | np.isin(lineages, lineages[asked]))).sum())

    pairs: list[tuple[np.ndarray, np.ndarray]] = []
    logits_of = tool.spread.logits_of

    def asking(prior: object, outcomes: object, some: np.ndarray) -> object:
        pairs.append((some, counted[-1]))
        return logits_of(prior, outcomes, some)

    monkeypatch.setattr(tool.spread, "train", watching)
    monkeypatch.setattr(tool.spread, "logits_of", asking)
    logits, without = tool.spread.logits_left_out(outcomes, EMBEDDER)
    assert not np.isnan(logits).any()
    assert set(without) == set(np.unique(families))
    assert len(pairs) > len(without)
    assert all(leaks(asked, trained) == 0 < trained.sum() for asked, trained in pairs)
    # All but a family alone is not enough: its models were seen elsewhere.
    asked, _ = pairs[0]
    assert leaks(asked, families != families[asked][0]) > 0


def cell(tool: SimpleNamespace, family: str, served: float, said: float = 0.0) -> object:
    return tool.spread.Cell(family=family, dataset=family, model="m", questions=1_000_000, served=served, logits=np.array([said]))


class TestTheWidth:
    @staticmethod
    def shares_held(tool: SimpleNamespace, spread_of: object, *, families: int = 8, trials: int = 300) -> float:
        """Share of new families that the width of the others holds: families differ much, the models in one little."""
        generator = np.random.default_rng(0)
        held = 0
        for _ in range(trials):
            offsets = generator.normal(0, 1.0, families + 1)
            cells = [
                [cell(tool, f"f{number}", float(1 / (1 + np.exp(-offset - generator.normal(0, 0.05))))) for _ in range(10)]
                for number, offset in enumerate(offsets)
            ]
            spread = spread_of([one for some in cells[:-1] for one in some])  # type: ignore[operator]
            held += generator.choice(np.array(cells[-1], dtype=object)).covered(spread)
        return held / trials

    def test_it_holds_families_that_were_not_seen(self, tool: SimpleNamespace) -> None:
        assert self.shares_held(tool, tool.spread.spread_of) >= tool.spread.COVERAGE

    def test_a_width_that_counts_models_as_if_each_were_a_family_does_not(self, tool: SimpleNamespace) -> None:
        def naive(cells: list[object]) -> float:
            return float(np.quantile([one.distance for one in cells], tool.spread.COVERAGE))  # type: ignore[attr-defined]

        assert self.shares_held(tool, naive, families=3) < tool.spread.COVERAGE

    def test_too_few_families_promise_nothing(self, tool: SimpleNamespace) -> None:
        cells = [cell(tool, f"f{number}", 0.5) for number in range(3)]
        assert isinf(tool.spread.spread_of(cells))
        assert tool.spread.spread_of([*cells, cell(tool, "f3", 0.5)]) < inf
        assert isinf(tool.spread.spread_of([]))

    def test_what_came_out_is_compared_with_the_mean_ends(self, tool: SimpleNamespace) -> None:
        one = cell(tool, "f", served=0.8, said=0.0)
        assert not one.covered(1.0)  # type: ignore[attr-defined]
        assert one.covered(1.5)  # type: ignore[attr-defined]
        assert one.distance == pytest.approx(np.log(4), abs=1e-3)  # type: ignore[attr-defined]
        found = tool.spread.coverages([cell(tool, f"f{number}", 0.5 if number else 0.99) for number in range(8)], coverage=0.5)
        assert [coverage.covered for coverage in found] == [0.0, *[1.0] * 7]


class TestTheLine:
    def test_it_finds_what_made_the_outcomes(self, tool: SimpleNamespace) -> None:
        generator = np.random.default_rng(0)
        difficulties, prices = generator.uniform(-2.5, 2.5, 5_000), -generator.uniform(0, 5, 5_000)
        logits = 1.5 - 0.6 * difficulties + prices * (0.4 + 0.05 * difficulties)
        line = tool.training.fit_line(difficulties, prices, 1 / (1 + np.exp(-logits)), np.ones(5_000))
        assert (line.level, line.harder, line.price, line.interaction) == pytest.approx((1.5, 0.6, 0.4, 0.05), abs=1e-3)

    @pytest.mark.parametrize("price", [-0.5, 0.0, 0.05])
    def test_dearer_is_never_worse_even_where_outcomes_say_so(self, tool: SimpleNamespace, price: float) -> None:
        generator = np.random.default_rng(0)
        difficulties, prices = generator.uniform(-2.5, 2.5, 5_000), -generator.uniform(0, 5, 5_000)
        logits = 1.0 - 0.6 * difficulties + prices * (price + 0.2 * difficulties)
        line = tool.training.fit_line(difficulties, prices, 1 / (1 + np.exp(-logits)), np.ones(5_000))
        assert abs(line.interaction) * HARDEST <= line.price
        free = tool.training.newton(
            np.stack([np.ones(5_000), -difficulties, prices, prices * difficulties], axis=1), 1 / (1 + np.exp(-logits)), np.ones(5_000)
        )
        assert abs(free[3]) * HARDEST > free[2]


def test_families_weigh_the_same_and_so_do_the_models_in_one(tool: SimpleNamespace, data: Path) -> None:
    outcomes = tool.outcomes.read_outcomes(data, EMBEDDER, keep=lambda number: number % 40 == 0 or number >= FIRST_OF_THE_SMALL)
    everything = np.ones(len(outcomes.scores), dtype=np.bool_)
    weights = tool.training.weights_of(outcomes, everything)
    families = outcomes.families[outcomes.asked]
    for family in np.unique(families):
        assert weights[families == family].sum() == pytest.approx(1)
        per_model = [
            weights[(families == family) & (outcomes.answered == one)].sum() for one in np.unique(outcomes.answered[families == family])
        ]
        assert per_model == pytest.approx([per_model[0]] * len(per_model))


def test_what_two_projects_asked_of_one_benchmark_is_one_family(tool: SimpleNamespace) -> None:
    family_of = tool.outcomes.family_of
    assert family_of("mint/reasoning/gsm8k") == family_of("gsm8k") == "gsm8k"
    assert family_of("mmlu_anatomy") == family_of("mint/reasoning/mmlu") == "mmlu"
    assert family_of("bfcl-v2/java") == "bfcl"


def test_prices_grow_with_sizes(tool: SimpleNamespace) -> None:
    listed = {"a/some-1b": 0.1, "some-100b": 10.0, "some-10b": 1.0, "no size": 5.0}
    assert tool.training.prices_of_sizes(listed) == (pytest.approx(0.1), pytest.approx(1.0))
