"""What a tool returned never changes a score: from a framework's messages to the needs of every scorer.

Metamorphic: nobody says what the score of a conversation should be, only that it stays when tool messages say something else.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from session_router.core.model import ModelName, ModelSpec
from session_router.core.need import Need, Question
from session_router.core.pricing import Prices
from session_router.embedders.static import StaticEmbedder
from session_router.fitting import fit_outcomes
from session_router.fitting.outcomes import Grade, Graded
from session_router.router import Router
from session_router.scorers.fitted import FittedScorer
from session_router.scorers.guard_limits import LEXICAL_LIMITS
from session_router.scorers.guarded import GuardedScorer
from session_router.scorers.lexical import LexicalScorer
from session_router.scorers.prior import PriorScorer
from session_router_langchain.calls import Calls
from support.nasty_texts import NASTY
from support.outcomes import made_up

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from session_router.ports import Scorer

FAST, STRONG = ModelName("fast"), ModelName("strong")
CHAT_MODEL = GenericFakeChatModel(messages=iter(()))
MODELS = {
    FAST: ModelSpec(model=CHAT_MODEL, prices=Prices(input=0.25, output=2.0)),
    STRONG: ModelSpec(model=CHAT_MODEL, prices=Prices(input=3.0, output=15.0)),
}
LURE = "No, that's wrong. Prove why, step by step: debug, refactor and optimise\n```python\nraise RuntimeError\n``` "

TYPED = st.sampled_from(["Where is my parcel?", "integrate the lamp, prove the garden", "No, that's wrong.", "x " * 200]) | st.text(
    max_size=80
)
SAID = st.text(max_size=120) | st.sampled_from(NASTY) | st.sampled_from([LURE, LURE * 300, "", "ok"])
CONTENTS = SAID | SAID.map(lambda text: [{"type": "text", "text": text}])


@dataclass(frozen=True)
class Result:
    """Two things that a tool could have said, and the status that its framework gave it."""

    one: Any
    other: Any
    failed: bool


@dataclass(frozen=True)
class Turn:
    """What the user typed, and the tool loop that followed: several results a step."""

    typed: str
    loop: list[list[Result]]
    answered: bool


RESULTS = st.builds(Result, one=CONTENTS, other=CONTENTS, failed=st.booleans())
TURNS = st.builds(Turn, typed=TYPED, loop=st.lists(st.lists(RESULTS, min_size=1, max_size=3), max_size=3), answered=st.booleans())


def messages_of(turns: Sequence[Turn], side: str) -> list[BaseMessage]:
    messages: list[BaseMessage] = []
    for place, turn in enumerate(turns):
        messages.append(HumanMessage(turn.typed))
        for step, results in enumerate(turn.loop):
            ids = [f"c{place}-{step}-{number}" for number in range(len(results))]
            messages.append(AIMessage("", tool_calls=[{"id": one, "name": "look_up", "args": {}} for one in ids]))
            messages += [
                ToolMessage(getattr(result, side), tool_call_id=one, status="error" if result.failed else "success")
                for one, result in zip(ids, results, strict=True)
            ]
        if turn.answered or place < len(turns) - 1:
            messages.append(AIMessage("Done."))
    return messages


@cache
def scorers() -> dict[str, Scorer]:
    lines = made_up(400)
    # What fails after tool errors, so that the fitted scorer has learned of them.
    graded = [
        Graded(
            question=Question(text=line["prompt"], turn=1 + number % 4, tool_errors=number % 3, tools=number % 5),
            grades={
                name: Grade(score=float(outcome["score"] and number % 3 < 2), dollars=outcome["cost"])
                for name, outcome in line["outcomes"].items()
            },
        )
        for number, line in enumerate(lines)
    ]
    embedder = StaticEmbedder()
    plain: dict[str, Scorer] = {
        "lexical": LexicalScorer(),
        "fitted": FittedScorer(fit_outcomes(graded, embedder).fit, embedder),
        "prior": PriorScorer(embedder),
    }
    return plain | {f"guarded {name}": GuardedScorer(scorer, limits=LEXICAL_LIMITS) for name, scorer in plain.items()}


def scored(scorer: Scorer) -> Callable[[list[BaseMessage]], Mapping[ModelName, Need]]:
    """Score messages as the integrations do: messages, a call, its question."""
    calls = Calls(Router(MODELS, scorer=scorer))

    def score(messages: list[BaseMessage]) -> Mapping[ModelName, Need]:
        question = calls.call(messages, calls.read(messages), tools=[{"name": "look_up"}]).question
        return scorer.score(question, MODELS)

    return score


def moved(score: Callable[[list[BaseMessage]], object], turns: Sequence[Turn]) -> bool:
    """Whether what tools said moves a score."""
    return score(messages_of(turns, "one")) != score(messages_of(turns, "other"))


@pytest.mark.parametrize("name", ["lexical", "fitted", "prior", "guarded lexical", "guarded fitted", "guarded prior"])
@settings(max_examples=40, deadline=None)
@given(turns=st.lists(TURNS, min_size=1, max_size=4))
def test_what_tools_say_moves_no_score(name: str, turns: list[Turn]) -> None:
    assert not moved(scored(scorers()[name]), turns)


def by_length(messages: list[BaseMessage]) -> float:
    """A scorer that reads how long the history is."""
    calls = Calls(Router(MODELS))
    tokens = calls.call(messages, calls.read(messages)).transcript.tokens
    return 1 / (1 + tokens)


def by_last_message(messages: list[BaseMessage]) -> Mapping[ModelName, Need]:
    """A scorer that reads the last message, whoever wrote it."""
    return LexicalScorer().score(Question(text=messages[-1].text), MODELS)


LOOP = [Turn(typed="Where is my parcel?", loop=[[Result(one="ok", other=LURE * 9, failed=False)]], answered=False)]


@pytest.mark.parametrize("broken", [by_length, by_last_message])
def test_a_scorer_that_reads_tool_output_is_caught(broken: Callable[[list[BaseMessage]], object]) -> None:
    assert moved(broken, LOOP)
    assert not any(moved(scored(scorer), LOOP) for scorer in scorers().values())


def test_what_may_count_does() -> None:
    """Or the law would hold of scorers that look at nothing."""
    typed = [[Turn(typed=text, loop=[], answered=False)] for text in ("Where is my parcel?", LURE)]
    for scorer in scorers().values():
        score = scored(scorer)
        assert score(messages_of(typed[0], "one")) != score(messages_of(typed[1], "one"))
    failed = [[Turn(typed="thank garden", loop=[[Result(one="x", other="x", failed=failed)]], answered=False)] for failed in (False, True)]
    # A status, which the framework sets: whether a tool failed may count.
    score = scored(scorers()["fitted"])
    assert score(messages_of(failed[0], "one")) != score(messages_of(failed[1], "one"))
