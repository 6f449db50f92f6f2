"""A fitted scorer that guards itself, and its file."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from session_router.core.model import ModelName, ModelSpec
from session_router.core.need import Need, Question, alarm_in
from session_router.core.pricing import Prices
from session_router.errors import ConfigurationError
from session_router.scorers import features
from session_router.scorers.features import READ_TEXTS
from session_router.scorers.fitted import FittedScorer
from session_router.scorers.guard_limits import Guard, GuardLimits
from session_router.scorers.guarded import GuardedScorer
from session_router.scorers.scorer_file import read_scorer_file, scorer_text
from session_router.scorers.sealed import sealed
from session_router.scorers.windows import WINDOWS
from support.word_embedder import WordEmbedder
from unit.fitting.test_guarding import BLOCK, FITTED

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FAST, STRONG, TWIN = ModelName("fast"), ModelName("strong"), ModelName("twin")
MODELS = {FAST: ModelSpec(prices=Prices(input=0.1, output=0.4)), STRONG: ModelSpec(prices=Prices(input=10.0, output=40.0))}
LIMITS = GuardLimits(allowances=(0.05,) * len(WINDOWS), alarms=(0.3,) * len(WINDOWS))
FIT = replace(FITTED.fit, guard=Guard(limits=LIMITS, costs={FAST: 0.001, STRONG: 0.01}))
EASY = " ".join(["greet lamp garden thank orchard meeting confirm ticket parcel"] * 2)
ATTACKED = BLOCK + EASY
WORDS = st.lists(st.sampled_from([*EASY.split(), *ATTACKED.split()]), max_size=40).map(" ".join)


@dataclass
class Without:
    """The scorer without its guard, to be guarded from outside; its certificates are put back."""

    scorer: FittedScorer

    def score(self, question: Question, models: Mapping[ModelName, ModelSpec]) -> dict[ModelName, Need]:
        certificates = {model.name: model.certificate for model in FIT.models}
        needs = self.scorer.score(question, models)
        return {
            name: replace(need, certificate=certificate)
            if (certificate := certificates[name]) is not None and need.p_success >= certificate.least_chance
            else need
            for name, need in needs.items()
        }

    async def ascore(self, question: Question, models: Mapping[ModelName, ModelSpec]) -> dict[ModelName, Need]:
        return self.score(question, models)


@settings(deadline=None)
@given(WORDS)
def test_it_says_what_a_guard_around_it_would_say(text: str) -> None:
    inside = FittedScorer(FIT, WordEmbedder())
    outside = GuardedScorer(Without(FittedScorer(FIT, WordEmbedder(), guard=False)), limits=LIMITS)
    question = Question(text=text, turn=1)
    assert inside.score(question, MODELS) == outside.score(question, MODELS)


async def test_sync_is_async_in_one_batch() -> None:
    embedder = WordEmbedder()
    scorer = FittedScorer(FIT, embedder)
    question = Question(text=ATTACKED, turn=1)
    assert await scorer.ascore(question, MODELS) == scorer.score(question, MODELS)
    assert len(embedder.asked) == 2 * (1 + len(WINDOWS)) + 1


def test_the_turns_before_are_looked_at_once_and_not_for_each_window(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []

    def look(text: str) -> bool:
        looked.append(text)
        return False

    monkeypatch.setattr(features, "is_correction", look)
    before = tuple(f"no, that's wrong {number}" for number in range(20))
    FittedScorer(FIT, WordEmbedder()).score(Question(text=ATTACKED, recent=before, turn=1), MODELS)
    assert len(looked) == 1 + len(WINDOWS) + READ_TEXTS


def test_who_else_is_a_candidate_changes_no_score() -> None:
    scorer = FittedScorer(FIT, WordEmbedder(), models={"twin": "fast"})
    for text in (EASY, ATTACKED):
        question = Question(text=text, turn=1)
        both = scorer.score(question, MODELS)
        for name, spec in MODELS.items():
            assert scorer.score(question, {name: spec}) == {name: both[name]}
        twin = scorer.score(question, {TWIN: ModelSpec()})[TWIN]
        assert (twin.p_success, twin.alarm) == (both[FAST].p_success, both[FAST].alarm)
    assert alarm_in(both.values()) is not None
    # A guard around a scorer sees only who is asked about.
    outside = GuardedScorer(FittedScorer(FIT, WordEmbedder(), guard=False), limits=LIMITS)
    assert alarm_in(outside.score(Question(text=ATTACKED), {FAST: MODELS[FAST]}).values()) is None


def test_without_its_guard_it_bears_no_certificate() -> None:
    question = Question(text=EASY, turn=1)
    assert FittedScorer(FIT, WordEmbedder()).score(question, MODELS)[FAST].certificate is not None
    assert FittedScorer(FIT, WordEmbedder(), guard=False).score(question, MODELS)[FAST].certificate is None
    # Where there never was a guard, they are about the scorer as it is.
    bare = replace(FIT, guard=None)
    for guard in (True, False):
        assert FittedScorer(bare, WordEmbedder(), guard=guard).score(question, MODELS)[FAST].certificate is not None


def test_the_guard_is_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "scorer.json"
    path.write_text(scorer_text(FIT, key=b"k" * 32), encoding="utf-8")
    read = read_scorer_file(path, key=b"k" * 32)
    assert read.guard == FIT.guard
    assert scorer_text(read, key=b"k" * 32) == path.read_text(encoding="utf-8")


def test_a_file_from_before_there_were_guards_still_loads(tmp_path: Path) -> None:
    path = tmp_path / "scorer.json"
    old = json.loads(scorer_text(replace(FIT, guard=None)))
    del old["content"]["guard"]
    resealed = {**json.loads(sealed(old["content"], key=None)), "version": 1}
    path.write_text(json.dumps(resealed), encoding="utf-8")
    read = read_scorer_file(path)
    assert read.guard is None
    assert FittedScorer(read, WordEmbedder()).score(Question(text=EASY), MODELS)[FAST].certificate is not None
    # The version alone takes no guard away: the content is what is sealed.
    lowered = {**json.loads(scorer_text(FIT)), "version": 1}
    path.write_text(json.dumps(lowered), encoding="utf-8")
    assert read_scorer_file(path).guard == FIT.guard
    # And a file of today says whether it has one.
    path.write_text(json.dumps({**resealed, "version": 2}), encoding="utf-8")
    with pytest.raises(ConfigurationError, match="shape"):
        read_scorer_file(path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"allowances": [0.1] * 4},
        {"allowances": [0.4] * 5},
        {"allowances": [-0.1] * 5},
        {"alarms": [2.1] * 5},
        {"alarms": [True] * 5},
        {"alarms": "much"},
        {"costs": {"nobody": 1.0}},
        {"costs": {"fast": -1.0}},
        {"costs": {"fast": "cheap"}},
        {"costs": None},
    ],
    ids=str,
)
def test_limits_that_make_no_sense_are_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    path = tmp_path / "scorer.json"
    content = json.loads(scorer_text(FIT))["content"]
    path.write_text(sealed({**content, "guard": {**content["guard"], **wrong}}, key=None), encoding="utf-8")
    with pytest.raises(ConfigurationError, match="shape of a scorer"):
        read_scorer_file(path)
    path.write_text(sealed(content, key=None), encoding="utf-8")
    assert read_scorer_file(path).guard == FIT.guard
