from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_router.core.model import ModelName, ModelSpec
from session_router.core.need import Question
from session_router.core.pricing import Prices
from session_router.scorers.lexical import SCANNED_CHARACTERS, LexicalScorer, has_code, lexical_difficulty, marks_of_work, skills_of

CHEAP, MIDDLE, DEAR = ModelName("cheap"), ModelName("middle"), ModelName("dear")
MODELS = {
    CHEAP: ModelSpec(prices=Prices(input=0.1, output=0.4)),
    MIDDLE: ModelSpec(prices=Prices(input=1.0, output=4.0)),
    DEAR: ModelSpec(prices=Prices(input=10.0, output=40.0)),
}


@pytest.mark.parametrize("harder", ["why is it so?", "debug and refactor it", "```x = 1```", "first this, then that, finally", "x" * 4000])
def test_wording_code_steps_and_length_make_a_text_harder(harder: str) -> None:
    assert lexical_difficulty("") < lexical_difficulty(harder) <= 1


@pytest.mark.parametrize("code", ["```", "Traceback", "a => b", "def go(x)", "class Go", "SELECT 1", "go();", "go(); \nthen", "x = 1;\ny"])
def test_code_is_recognised(code: str) -> None:
    assert has_code(code)
    assert has_code(f"see {code}")


@pytest.mark.parametrize("text", ["", "default (of) it", "subclass it", "classes", "SELECTED", "undef x(", "one; two", "a = > b"])
def test_words_that_look_like_code_are_none(text: str) -> None:
    assert not has_code(text)


@given(st.lists(st.sampled_from(["Why", "plan", "first", "then", "step", "so"]) | st.text(st.characters(max_codepoint=127), max_size=2)))
def test_words_are_found_alike_whatever_else_is_written(parts: list[str]) -> None:
    text = "".join(parts)
    # One letter that is not ASCII, by itself: words are then found in another way.
    assert marks_of_work(text) == marks_of_work(f"{text} \u00e9")


def test_only_the_beginning_of_a_long_text_is_read() -> None:
    filler = "x" * SCANNED_CHARACTERS
    assert lexical_difficulty(filler + " why debug prove") == lexical_difficulty(filler)


def test_models_without_a_skill_are_ranked_by_price() -> None:
    skills = skills_of(MODELS)
    assert skills[CHEAP] == pytest.approx(0.35)
    assert skills[MIDDLE] == pytest.approx(0.65)
    assert skills[DEAR] == pytest.approx(0.95)


def test_a_stated_skill_counts_more_than_the_price() -> None:
    assert skills_of({**MODELS, CHEAP: ModelSpec(prices=Prices(input=0.1, output=0.4), skill=0.9)})[CHEAP] == 0.9


def test_models_of_one_price_are_alike() -> None:
    prices = Prices(input=1.0, output=1.0)
    skills = skills_of({CHEAP: ModelSpec(prices=prices), DEAR: ModelSpec(prices=prices)})
    assert skills[CHEAP] == skills[DEAR]


async def test_a_harder_text_widens_the_gap_between_models() -> None:
    scorer = LexicalScorer()
    easy, hard = (scorer.score(Question(text=text), MODELS) for text in ("hi", "why? debug, prove and refactor it"))
    gap = {name: hard[name].p_success - easy[name].p_success for name in MODELS}
    assert gap[CHEAP] < gap[MIDDLE] < gap[DEAR] < 0
    assert await scorer.ascore(Question(text="hi"), MODELS) == easy
