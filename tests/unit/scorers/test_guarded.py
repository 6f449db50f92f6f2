"""A part of a text does not upgrade all of it, and clean texts seldom raise an alarm."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from session_router.core.model import ModelName, ModelSpec
from session_router.core.need import Need, Question, alarm_in
from session_router.core.pricing import Prices
from session_router.core.risk import Certificate
from session_router.errors import ConfigurationError
from session_router.router import Router
from session_router.scorers.guard_limits import LEXICAL_LIMITS, GuardLimits, jumps_of, limits_from
from session_router.scorers.guarded import GuardedScorer
from session_router.scorers.lexical import LexicalScorer
from session_router.scorers.windows import WINDOWS, costs_of, jump_of, questions_of
from session_router_langchain.calls import Calls

if TYPE_CHECKING:
    from collections.abc import Mapping

FAST, STRONG = ModelName("fast"), ModelName("strong")
MODELS = {FAST: ModelSpec(prices=Prices(input=0.1, output=0.4)), STRONG: ModelSpec(prices=Prices(input=10.0, output=40.0))}
CERTIFICATE = Certificate(reference=STRONG, least_chance=0.9, under_served=1, segments=500, bound=0.02, delta=0.05)
LIMITS = GuardLimits(allowances=(0.1,) * len(WINDOWS), alarms=(0.3,) * len(WINDOWS))
OPEN = GuardLimits(allowances=(2.0,) * len(WINDOWS), alarms=(2.0,) * len(WINDOWS))
"""Allow everything: a guard that is broken."""

MODEL = GenericFakeChatModel(messages=iter(()))
CALLS = Calls(Router({FAST: ModelSpec(model=MODEL, prices=Prices(input=1.0, output=1.0))}))

FILLER = ("the", "order", "came", "late", "and", "was", "opened", "before", "noon", "by", "a", "clerk")
TEXTS = st.lists(st.sampled_from([*FILLER, "hard", "hard", "why", "prove"]), min_size=1, max_size=80).map(" ".join)


@dataclass
class CountsHardWords:
    """A scorer that is easily led: each `hard` takes a tenth from the cheap model."""

    asked: list[Question] = field(default_factory=list[Question])

    def score(self, question: Question, models: Mapping[ModelName, ModelSpec]) -> Mapping[ModelName, Need]:
        self.asked.append(question)
        chance = max(0.0, 0.95 - 0.1 * question.text.split().count("hard"))
        certificate = CERTIFICATE if chance >= CERTIFICATE.least_chance else None
        own = {FAST: Need(p_success=chance, low=chance / 2, certificate=certificate), STRONG: Need(p_success=0.95)}
        return {name: own[name] for name in models}

    async def ascore(self, question: Question, models: Mapping[ModelName, ModelSpec]) -> Mapping[ModelName, Need]:
        return self.score(question, models)


def clean_text(noise: random.Random) -> str:
    words = [noise.choice(FILLER) for _ in range(noise.randint(20, 60))]
    for _ in range(noise.choice([0, 0, 0, 1, 2])):
        words[noise.randrange(len(words))] = "hard"
    return " ".join(words)


def jump(whole: Mapping[ModelName, Need], rest: Mapping[ModelName, Need]) -> float:
    chances = [{name: need.p_success for name, need in needs.items()} for needs in (whole, rest)]
    return jump_of(*chances, costs_of(MODELS))


def alarmed(scorer: GuardedScorer, text: str) -> bool:
    return alarm_in(scorer.score(Question(text=text), MODELS).values()) is not None


def lead(needs: Mapping[ModelName, Need]) -> float:
    return needs[STRONG].p_success - needs[FAST].p_success


class TestGuard:
    @given(TEXTS, st.sampled_from([CountsHardWords(), LexicalScorer()]))
    def test_no_part_gains_more_than_its_allowance(self, text: str, scorer: Any) -> None:
        question = Question(text=text)
        seen = GuardedScorer(scorer, limits=LIMITS).score(question, MODELS)
        whole, *rests = (scorer.score(one, MODELS) for one in questions_of(question))
        for rest in rests:
            assert jump(seen, rest) <= (0.1 if alarm_in(seen.values()) is None else 0.0) + 1e-9
        # Capped only as far as is needed, and in no other direction.
        assert (seen == whole) == (max([jump(whole, rest) for rest in rests], default=0.0) <= 0.1)
        assert lead(seen) <= lead(whole) + 1e-9

    @pytest.mark.parametrize(("limits", "led"), [(LIMITS, False), (OPEN, True)])
    @pytest.mark.parametrize("place", ["{block} {text}", "{text} {block}"])
    def test_a_block_forces_nothing_where_the_guard_works(self, limits: GuardLimits, led: bool, place: str) -> None:
        text = " ".join(FILLER * 4)
        attacked = place.format(block="hard " * 6, text=text).strip()
        seen = GuardedScorer(CountsHardWords(), limits=limits).score(Question(text=attacked), MODELS)
        assert (lead(seen) > 0.5) == led
        alarm = alarm_in(seen.values())
        assert (alarm is None) == led
        if alarm is not None:
            assert lead(seen) == 0
            assert alarm.jump == pytest.approx(0.6)
            assert alarm.window in {window.name for window in WINDOWS}
            # Whoever asks about one model only sees it too.
            assert {need.alarm for need in seen.values()} == {alarm}

    def test_below_an_alarm_the_allowance_is_left(self) -> None:
        text = "hard hard " + " ".join(FILLER * 4)
        seen = GuardedScorer(CountsHardWords(), limits=LIMITS).score(Question(text=text), MODELS)
        assert alarm_in(seen.values()) is None
        assert lead(seen) == pytest.approx(0.1)

    def test_what_is_hard_all_over_stays_hard(self) -> None:
        text = " ".join(["hard", *FILLER] * 6)
        whole = CountsHardWords().score(Question(text=text), MODELS)
        assert GuardedScorer(CountsHardWords(), limits=OPEN).score(Question(text=text), MODELS) == whole
        assert lead(GuardedScorer(CountsHardWords(), limits=LIMITS).score(Question(text=text), MODELS)) > 0.2

    @given(TEXTS)
    async def test_sync_is_async(self, text: str) -> None:
        guarded = GuardedScorer(CountsHardWords(), limits=LIMITS)
        question = Question(text=text)
        assert await guarded.ascore(question, MODELS) == guarded.score(question, MODELS)

    @given(TEXTS)
    def test_a_certificate_goes_by_what_is_left(self, text: str) -> None:
        needs = GuardedScorer(CountsHardWords(), limits=LIMITS).score(Question(text=text), MODELS)
        certified = needs[FAST].p_success >= CERTIFICATE.least_chance
        assert {name: need.certificate for name, need in needs.items()} == {FAST: CERTIFICATE if certified else None, STRONG: None}

    @pytest.mark.parametrize(("limits", "certified"), [(LIMITS, True), (OPEN, False)])
    def test_a_block_takes_no_certificate_away(self, limits: GuardLimits, certified: bool) -> None:
        # Else whoever writes it would have the reference answer by the gate.
        attacked = "hard " * 6 + " ".join(FILLER * 4)
        needs = GuardedScorer(CountsHardWords(), limits=limits).score(Question(text=attacked), MODELS)
        assert (needs[FAST].certificate is not None) == certified

    @pytest.mark.parametrize(("text", "scores"), [("hi", 1), ("hard " * 12, 1), (" ".join(FILLER * 4), 6), ("word " * 20_000, 6)])
    def test_the_number_of_scores_is_bounded(self, text: str, scores: int) -> None:
        scorer = CountsHardWords()
        GuardedScorer(scorer, limits=LIMITS).score(Question(text=text), MODELS)
        assert len(scorer.asked) == scores
        assert sum(len(one.text) for one in scorer.asked) <= 4.1 * 65_536

    def test_what_nobody_sees_does_not_count(self) -> None:
        text = " ".join(FILLER * 4)
        guarded = GuardedScorer(CountsHardWords(), limits=LIMITS)
        seen = guarded.score(Question(text=text + " h\u200bard"), MODELS)
        assert seen == guarded.score(Question(text=text + " hard"), MODELS)

    def test_routes_are_checked_by_the_scorer_within(self) -> None:
        class Picky(CountsHardWords):
            def check_routes(self, routes: Any) -> None:
                raise ConfigurationError(key="scorer", value=list(routes), rule="none will do.")

        with pytest.raises(ConfigurationError, match="none will do"):
            GuardedScorer(Picky(), limits=LIMITS).check_routes(MODELS)
        GuardedScorer(CountsHardWords(), limits=LIMITS).check_routes(MODELS)


class TestLimits:
    @pytest.mark.parametrize("scorer", [CountsHardWords(), LexicalScorer()])
    def test_clean_texts_seldom_raise_an_alarm(self, scorer: Any) -> None:
        noise = random.Random(4)
        limits = limits_from(scorer, MODELS, [clean_text(noise) for _ in range(800)], false_alarms=0.05)
        guarded = GuardedScorer(scorer, limits=limits)
        held = [clean_text(noise) for _ in range(800)]
        alarms = sum(alarmed(guarded, text) for text in held)
        # 5 % of 800 are 40; limits of nothing but noise would be alarmed by most.
        assert alarms <= 60
        tight = GuardedScorer(scorer, limits=GuardLimits(allowances=(0.0,) * 5, alarms=(0.0,) * 5))
        assert sum(alarmed(tight, text) for text in held) > 200

    def test_of_the_clean_texts_themselves_no_more_than_the_share_raise_an_alarm(self) -> None:
        noise = random.Random(5)
        texts = [clean_text(noise) for _ in range(400)]
        limits = limits_from(LexicalScorer(), MODELS, texts, false_alarms=0.02)
        rows = [jumps_of(LexicalScorer(), MODELS, text) for text in texts[1::2]]
        alarms = sum(any(jump > limit for jump, limit in zip(row, limits.alarms, strict=True)) for row in rows)
        assert alarms <= 0.02 * len(rows)

    def test_more_untouched_is_a_larger_allowance(self) -> None:
        noise = random.Random(6)
        texts = [clean_text(noise) for _ in range(300)]
        few, many = (limits_from(CountsHardWords(), MODELS, texts, untouched=share).allowances for share in (0.5, 0.95))
        assert all(one <= other for one, other in zip(few, many, strict=True))
        assert sum(few) < sum(many)

    @pytest.mark.parametrize(
        "wrong", [{"false_alarms": 0.0}, {"false_alarms": 1.0}, {"untouched": 1.0}, {"untouched": -0.1}, {"texts": ["a"] * 199}]
    )
    def test_what_cannot_be_set_is_refused(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(ConfigurationError):
            limits_from(**{"scorer": LexicalScorer(), "models": MODELS, "texts": ["a"] * 200, **wrong})

    @pytest.mark.parametrize(
        ("allowances", "alarms"),
        [
            ((0.1,), (0.3,)),
            ((0.1,) * 5, (0.3,) * 4),
            ((0.4,) * 5, (0.3,) * 5),
            ((-0.1,) * 5, (0.3,) * 5),
            ((0.1,) * 5, (float("nan"),) * 5),
        ],
    )
    def test_limits_that_make_no_sense_are_refused(self, allowances: tuple[float, ...], alarms: tuple[float, ...]) -> None:
        with pytest.raises(ConfigurationError):
            GuardLimits(allowances=allowances, alarms=alarms)

    def test_the_limits_that_come_along_stop_a_list_of_hard_words(self) -> None:
        text = "On Monday Ann buys four pens for two dollars each, and on Tuesday she sells three of them. How many pens are left?"
        attacked = "prove debug refactor why " + text
        plain = LexicalScorer()
        guarded = GuardedScorer(plain, limits=LEXICAL_LIMITS)
        assert not alarmed(guarded, text)
        assert alarmed(guarded, attacked)
        clean, seen = (lead(guarded.score(Question(text=one), MODELS)) for one in (text, attacked))
        assert seen <= clean + 0.05 < lead(plain.score(Question(text=attacked), MODELS))


class TestToolOutput:
    @given(st.text(max_size=200), st.text(max_size=200), st.sampled_from(["success", "error"]))
    def test_it_never_changes_what_is_scored(self, one: str, other: str, status: Any) -> None:
        questions = [question_after(content, status) for content in (one, other)]
        first, second = questions
        assert first == second
        assert (first.text, first.recent) == ("and the second?", ("where is my order?",))

    @given(st.text(max_size=200))
    def test_so_it_never_changes_the_score_of_the_text(self, content: str) -> None:
        guarded = GuardedScorer(LexicalScorer(), limits=LEXICAL_LIMITS)
        quiet, loud = question_after("ok", "success"), question_after("prove why: debug, refactor " + content, "success")
        assert guarded.score(quiet, MODELS) == guarded.score(loud, MODELS)
        # What the user types does.
        typed = Question(text="prove why: debug, refactor " * 4)
        assert guarded.score(typed, MODELS) != guarded.score(quiet, MODELS)

    def test_whether_a_tool_failed_does_count(self) -> None:
        assert question_after("x", "error").tool_errors == 1
        assert question_after("x", "success").tool_errors == 0


def question_after(content: str, status: Any) -> Question:
    """What is asked about a second turn, after a first with a tool loop."""
    messages = [
        HumanMessage("where is my order?"),
        AIMessage("", tool_calls=[{"id": "c1", "name": "look_up", "args": {}}]),
        ToolMessage(content, tool_call_id="c1", status=status),
        AIMessage("On its way."),
        HumanMessage("and the second?"),
    ]
    return CALLS.call(messages, CALLS.read(messages)).question
