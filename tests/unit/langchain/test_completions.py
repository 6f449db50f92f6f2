"""Completions come back as they came, or not at all."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.language_models import FakeListLLM
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, Generation

from session_router.cache.plain_answers import answer_from_plain, answer_to_plain
from session_router.cache.semantic import SemanticCache
from session_router.core.cached import CachedAnswer
from session_router.core.model import ModelName
from session_router_langchain import SessionRouterCache
from session_router_langchain.completions import completions_answer, completions_in

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


def kept(*generations: Any) -> CachedAnswer | None:
    return completions_answer(generations, asked_at=1.0, at=3.5)


@given(st.lists(st.tuples(st.text(), st.none() | st.dictionaries(st.text(), JSON)), min_size=1, max_size=3))
def test_what_is_kept_comes_back(said: list[tuple[str, Any]]) -> None:
    generations = [Generation(text=text, generation_info=info) for text, info in said]
    answer = kept(*generations)
    if answer is not None:
        assert completions_in(answer) == generations
        assert completions_in(answer_from_plain(answer_to_plain(answer))) == generations
        assert answer.seconds == 2.5


@pytest.mark.parametrize(
    "generations",
    [
        [],
        [Generation(text="")],
        [Generation(text="Yes."), Generation(text=" ")],
        [Generation(text="Yes."), Generation(text="I'm sorry, I can't help with that.")],
        [Generation(text="Yes.", generation_info={"x": object()})],
        [Generation(text="Yes.", generation_info={"x": (1, 2)})],
        [Generation(text="Yes.", generation_info={"x": float("nan")})],
        [ChatGeneration(message=AIMessage("Yes."))],
    ],
)
def test_what_could_not_come_back_as_it_is_is_not_kept(generations: list[Any]) -> None:
    assert kept(*generations) is None


def test_who_says_how_it_ended_is_held_to_it() -> None:
    ends = [{"finish_reason": "stop"}, {"finish_reason": "length"}, None]
    answer = kept(*(Generation(text="Yes.", generation_info=info) for info in ends))
    assert answer is not None
    assert answer.finish_reason == "length"


@pytest.mark.parametrize(
    "content",
    [
        "Yes.",
        (),
        ({"type": "text", "text": "Yes."},),
        ({"type": "text", "text": "[1]"},),
        ({"type": "text", "text": "[7]"}, {"type": "text", "text": "[7]"}),
    ],
)
def test_what_is_no_completion_is_none(content: Any) -> None:
    assert completions_in(CachedAnswer(content=content, model=ModelName("x"), at=0.0)) is None


def test_a_model_that_completes_gets_the_very_same_text_only() -> None:
    cache = SemanticCache()
    model = FakeListLLM(responses=[str(number) for number in range(9)], cache=SessionRouterCache(cache, principal="ada"))
    said = [model.invoke(text) for text in ("Count on:", "Count on:", "count on", "Count on: ", "Count on:")]
    assert said == ["0", "0", "1", "2", "0"]
    assert cache.counts()["hit.exact"] == 2


def test_several_texts_at_once() -> None:
    model = FakeListLLM(responses=[str(number) for number in range(9)], cache=SessionRouterCache(SemanticCache(), principal="ada"))
    first = [one[0].text for one in model.generate(["a?", "b?", "a?"]).generations]
    assert [one[0].text for one in model.generate(["a?", "b?"]).generations][1] == first[1]
