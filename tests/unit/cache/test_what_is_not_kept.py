"""Questions whose answer does not stay true, and answers that are none."""

from __future__ import annotations

import pytest

from session_router.cache.time_relative import time_relative
from session_router.cache.unfit_answers import cut_off, refusal

MOVING = [
    "What's the weather in Oslo?",
    "Who won the game yesterday?",
    "What is the latest version of Go?",
    "Which shops are open now?",
    "Is it still available?",
    "What happened last week?",
    "How many days until Easter?",
    "What’s the time?",  # noqa: RUF001 -- as keyboards write it
    "Any news about the strike?",
    "Was gibt es heute zu essen?",
    "Wie spät ist es?",
    "Wie ist der aktuelle Kurs?",
    "Quel temps fait-il aujourd'hui ?",
    "¿Qué hora es?",
    "Che cosa succede oggi?",
    "Qual é a notícia de hoje?",
    "Wat is het laatste nieuws?",
    "Какая сегодня погода?",
    "今天天气怎么样",
    "今日のニュース",
    "오늘 날씨 어때",
    "ما هي أخبار اليوم",
]
STEADY = [
    "How do I reset my password?",
    "What is the capital of Peru?",
    "Guten Morgen, wie koche ich Reis?",
    "I know how to do it, but why?",
    "Wie wasche ich Wolle?",
    "Comment cuire le riz ?",
    "¿Cuál es la capital de Perú?",
    "日本の首都は",
    "Explain the second law of thermodynamics",
    "What does `date` print?",
]
REFUSALS = [
    "I'm sorry, but I can't help with that.",
    "I’m unable to answer this.",  # noqa: RUF001 -- as models write it
    "As an AI language model, I have no opinion.",
    "Unfortunately, I do not know.",
    "Could you clarify what you mean?",
    "Something went wrong. Please try again.",
    "Es tut mir leid, das geht nicht.",
    "Ich kann dir dabei leider nicht helfen.",
    "Je suis désolé, mais non.",
    "Lo siento, no puedo ayudarte.",
    "Mi dispiace, non posso.",
    "К сожалению, я не могу.",  # noqa: RUF001 -- Russian
    "抱歉,我无法回答。",
    "申し訳ありません。",
    "",
    " \n",
]
ANSWERS = ["Lima.", "Press the button for ten seconds.", "Nein, das ist erlaubt.", "Oui.", "42", "利马", "No. It is not possible to do so."]


def naive(question: str) -> bool:
    """A broken variant: one language, one word."""
    return "today" in question.lower()


def test_what_moves_is_told_from_what_stays() -> None:
    assert [question for question in MOVING if time_relative(question) is None] == []
    assert [question for question in STEADY if time_relative(question) is not None] == []
    assert len([question for question in MOVING if not naive(question)]) > 15


def test_a_word_inside_another_says_nothing() -> None:
    assert time_relative("What is a snowball?") is None
    assert time_relative("What is snow, now?") == "it asks for now"


def test_refusals_are_told_from_answers() -> None:
    assert [answer for answer in REFUSALS if refusal(answer) is None] == []
    assert [answer for answer in ANSWERS if refusal(answer) is not None] == []
    assert len([answer for answer in REFUSALS if not answer.startswith("I'm sorry")]) > 10


def test_an_answer_that_apologises_late_is_an_answer() -> None:
    assert refusal("Write to them. " * 40 + "I'm sorry for your loss.") is None


@pytest.mark.parametrize("reason", ["stop", "STOP", "end_turn", "stop_sequence", "completed"])
def test_whole_answers(reason: str) -> None:
    assert cut_off(reason) is None


@pytest.mark.parametrize(
    "reason",
    [
        "length",
        "max_tokens",
        "MAX_TOKENS",
        "content_filter",
        "SAFETY",
        "tool_calls",
        "tool_use",
        "pause_turn",
        "refusal",
        "incomplete",
        "",
        None,
    ],
)
def test_all_others_may_be_cut_off(reason: str | None) -> None:
    assert cut_off(reason) is not None
