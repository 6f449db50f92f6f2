"""What is left of a text, and what it asks for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_router.core.model import ModelName, ModelSpec
from session_router.core.need import Question
from session_router.core.pricing import Prices
from session_router.scorers.canonical import canonical_text
from session_router.scorers.windows import LEAST_CHARACTERS, WINDOWS, costs_of, jump_of, questions_of

CHEAP, MIDDLE, DEAR, UNPRICED = ModelName("cheap"), ModelName("middle"), ModelName("dear"), ModelName("unpriced")
MODELS = {
    DEAR: ModelSpec(prices=Prices(input=10.0, output=40.0)),
    CHEAP: ModelSpec(prices=Prices(input=0.1, output=0.4)),
    UNPRICED: ModelSpec(),
    MIDDLE: ModelSpec(prices=Prices(input=1.0, output=4.0)),
}
WORDS = st.lists(st.sampled_from(["a", "is", "Größe", "question", "漢字", "extraordinarily", "42"]), min_size=20, max_size=80)
COSTS = costs_of(MODELS)
CHANCES = st.fixed_dictionaries({name: st.floats(0, 1) for name in MODELS})


def long_question(words: list[str]) -> str:
    """At least 500 characters, so that the ends of words matter little."""
    text = " ".join(words)
    return " ".join([text] * (500 // len(text) + 1))


class TestRests:
    @given(st.text(st.characters(), max_size=2 * LEAST_CHARACTERS), st.lists(st.text(max_size=9), max_size=3))
    def test_all_that_is_scored_is_canonical_and_all_else_is_as_it_was(self, text: str, recent: list[str]) -> None:
        question = Question(text=text, recent=tuple(recent), turn=3, tool_errors=2, tools=4)
        whole, *rests = questions_of(question)
        assert whole.text == canonical_text(text)
        assert whole.recent == tuple(map(canonical_text, recent))
        assert len(rests) == (0 if len(whole.text) < LEAST_CHARACTERS else len(WINDOWS))
        for one in (whole, *rests):
            assert canonical_text(one.text) == one.text
            assert replace(one, text=text, recent=question.recent) == question

    @given(WORDS)
    def test_words_stay_whole_and_in_order(self, words: list[str]) -> None:
        text = canonical_text(" ".join(words))
        whole, *rests = questions_of(Question(text=text))
        known = whole.text.split()
        for rest in rests:
            left = rest.text.split()
            places = iter(known)
            assert all(word in places for word in left)
            assert len(left) < len(known)

    @given(WORDS, st.floats(0.05, 0.9), st.booleans())
    def test_a_block_at_an_end_that_is_shorter_than_the_question_is_dropped_by_one_of_them(
        self,
        words: list[str],
        share: float,
        before: bool,
    ) -> None:
        own = long_question(words)
        put = "# " * round(share * len(own) / 2)
        text = f"{put}{own}" if before else f"{own} {put}"
        _, *rests = questions_of(Question(text=text))
        assert any("#" not in rest.text and rest.text for rest in rests)
        # The quarters alone would not do: what is longer than a quarter shows in both.
        if share > 0.5:
            assert all("#" in rest.text for rest in rests[2:4])

    @given(WORDS, st.floats(0, 1))
    def test_a_block_of_less_than_a_quarter_is_dropped_wherever_it_stands(self, words: list[str], where: float) -> None:
        own = long_question(words)
        place = own.rfind(" ", 0, round(where * len(own)) + 1) + 1
        text = own[:place] + "# " * (len(own) // 16) + own[place:]
        _, *rests = questions_of(Question(text=text))
        assert any("#" not in rest.text for rest in rests)
        assert any("#" in rest.text for rest in rests)

    def test_a_text_without_blanks_is_cut_inside(self) -> None:
        _, *rests = questions_of(Question(text="漢" * 400))
        assert [len(rest.text) for rest in rests] == [200, 200, 300, 300, 201]


class TestJump:
    @given(CHANCES)
    def test_what_asks_for_the_same_does_not_jump(self, chances: dict[ModelName, float]) -> None:
        assert jump_of(chances, chances, COSTS) == 0

    @given(CHANCES, CHANCES)
    def test_it_is_the_largest_difference_of_leads(self, whole: dict[ModelName, float], rest: dict[ModelName, float]) -> None:
        leads = [
            (whole[dear] - whole[cheap]) - (rest[dear] - rest[cheap]) for cheap, dear in ((CHEAP, MIDDLE), (CHEAP, DEAR), (MIDDLE, DEAR))
        ]
        assert jump_of(whole, rest, COSTS) == pytest.approx(max(leads))

    @given(CHANCES, CHANCES, st.dictionaries(st.sampled_from(list(MODELS)), st.sampled_from([0.0, 1.0, 2.0])))
    def test_models_of_one_cost_are_not_compared(
        self, whole: dict[ModelName, float], rest: dict[ModelName, float], costs: dict[ModelName, float]
    ) -> None:
        pairs = [(one, other) for one in costs for other in costs if costs[one] < costs[other]]
        leads = [(whole[dear] - whole[cheap]) - (rest[dear] - rest[cheap]) for cheap, dear in pairs]
        assert jump_of(whole, rest, costs) == pytest.approx(max(leads, default=0.0))

    @given(CHANCES, CHANCES)
    def test_the_order_of_the_models_is_irrelevant(self, whole: dict[ModelName, float], rest: dict[ModelName, float]) -> None:
        assert jump_of(whole, rest, COSTS) == jump_of(whole, rest, dict(reversed(COSTS.items())))

    @given(CHANCES, CHANCES)
    def test_nothing_is_an_upgrade_among_models_of_one_price(self, whole: dict[ModelName, float], rest: dict[ModelName, float]) -> None:
        assert jump_of(whole, rest, dict.fromkeys(COSTS, 1.0)) == 0

    def test_who_has_no_prices_is_not_compared(self) -> None:
        assert COSTS == {DEAR: 50.0, CHEAP: 0.5, MIDDLE: 5.0}
