"""Laws of the two forms of a text and of the guards, over any text."""

from __future__ import annotations

import re
from collections import defaultdict
from unicodedata import normalize

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from session_router.cache import outlines, readings, wordings
from session_router.cache import verifier as verifier_module
from session_router.cache.guard_words import NEGATIONS
from session_router.cache.guards import GUARDS, failing_guard
from session_router.cache.outlines import length_of
from session_router.cache.readings import reading_of
from session_router.cache.sentences import Sentence, sentence_of, word_bits
from session_router.cache.text_forms import READ_CHARACTERS, composed, content_form, exact_form
from session_router.cache.time_relative import _ANY, _KINDS, may_be_about_time, time_relative
from session_router.cache.unfit_answers import cut_off, refusal
from session_router.cache.verifier import LexicalVerifier, pair_columns
from support.cache_traps import SAME, SAME_CONTENT, TRAPS
from support.nasty_texts import NASTY

WORDS = st.sampled_from(
    [word for trap in TRAPS for text in (trap.one, trap.other) for word in text.split()]
    + [
        "not",
        "don't",
        "can't",
        "please",
        "Please,",
        "Hi,",
        "thanks",
        "the",
        "The",
        "?",
        "!",
        "...",
        "5",
        "12.5",
        "2⁵",
        "½",
        "US",
        "I",
        "\u2019",
        "İ",
        "ß",
    ]
)
ORDINARY = st.sampled_from(
    """
    I A a B Is it the The IT who's Who what's tell me please Please, kindly hi Thanks thank you cannot dont rent know find to-do x,
    """.split()  # noqa: SIM905 -- words are easier to read without quotation marks
)
MOMENTS = st.sampled_from([*re.findall(r"\w+", " ".join(_KINDS.values())), "the", "2", "a", "in the", "quand même"])
SENTENCES = st.lists(WORDS, max_size=9).map(" ".join)
TEXTS = st.one_of(st.text(max_size=40), SENTENCES, st.sampled_from(NASTY))


@given(TEXTS)
@example("!?!.?")
@example(" ' ")
@example("A\u0301.")
def test_a_form_is_its_own_form(text: str) -> None:
    assert exact_form(exact_form(text)) == exact_form(text)
    assert content_form(content_form(text)) == content_form(text)


@given(st.one_of(TEXTS, st.lists(ORDINARY, min_size=1, max_size=6).map(" ".join)), st.sampled_from(["", "?", ".", ",", "!", " ?"]))
@example("I", "?")
@example("A-I", ".")
@example("Who's IT", "?")
@example("What may I do on Monday", "?")
@example("Ought one to go, or to go on", "?")
def test_the_short_ways_lead_to_the_same_forms(text: str, end: str) -> None:
    whole = text + end
    form, reading, sentence = exact_form(whole), reading_of(whole), sentence_of(whole)
    if sentence is not None:
        content = outlines.content_of(reading)
        assert sentence[0] == form
        assert sentence[3:] == (len(content), word_bits(content))
        assert not sentence.is_content or content_form(whole) == form
        assert not sentence.is_timeless or time_relative(whole) is None
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(wordings, "_may_have_manners", lambda _: True)
        plainly = wordings.without_manners(form)
    assert wordings.without_manners(form) == plainly
    assert wordings.written_out(form) == wordings._in_full(form)


def test_most_questions_are_sentences() -> None:
    assert sentence_of("How can I renew this card, or mine?") == Sentence(
        exact="how can i renew this card, or mine", is_content=True, is_timeless=True, words=2, bits=word_bits(["renew", "card"])
    )
    assert not sentence_of("Is the bank open now?").is_timeless  # type: ignore[union-attr]
    assert sentence_of("Is it March,") is sentence_of("Is it  5?") is None


@given(TEXTS)
@example("don't can't-do\u3000won't")
def test_a_text_is_read_as_its_parts_are(text: str) -> None:
    whole, (tokens, words, content) = reading_of(text), readings._part(composed(text))
    assert (whole.tokens, whole.words, whole.content) == (tokens, words, content)


@given(st.lists(MOMENTS, max_size=5).map(" ".join))
def test_no_question_slips_past_the_first_look_for_moments(text: str) -> None:
    kinds = [re.search(rf"(?<!\w)(?:{words})(?!\w)", text) for words in _KINDS.values()]
    assert (_ANY.search(text) is not None) is any(kinds)
    assert any(map(may_be_about_time, text.split(" "))) or not any(kinds)


@given(TEXTS)
def test_what_has_one_exact_form_has_one_content_form(text: str) -> None:
    assert content_form(exact_form(text)) == content_form(text)


@given(st.one_of(TEXTS, st.lists(ORDINARY, max_size=9).map(" ".join)))
@example("the rent of the account")
@example("how do i\tplease the bank")
def test_words_that_say_all_change_nothing_but_the_work(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wordings, "says_all", defaultdict(bool))
        slowly = content_form(text)
    assert content_form(text) == slowly


@given(st.one_of(TEXTS, st.lists(ORDINARY, max_size=9).map(" ".join)))
def test_a_question_is_one_in_small_letters_as_well(text: str) -> None:
    form = text.lower().lstrip("\u00bf\u00a1 ")
    assert wordings.is_small_question(form) == wordings.is_question(form)


@given(TEXTS)
def test_what_is_put_together_of_words_is_what_the_whole_text_has(text: str) -> None:
    reading = reading_of(text)
    trigrams, content = outlines.trigrams_of(reading), outlines.content_of(reading)
    assert outlines._trigrams_of(text) == (len(trigrams), outlines._trigram_bits(trigrams))
    assert outlines._words_of(text) == (len(content), word_bits(content))


@given(SENTENCES, st.sampled_from(["  ", " ", "\u00a0", "\u2003"]))
def test_blanks_say_nothing_between_words(text: str, blank: str) -> None:
    if exact_form(text) != text.strip():  # not code
        assert exact_form(f"{blank}{text.replace(' ', blank)}{blank}") == exact_form(text)


@given(TEXTS)
def test_forms_keep_every_number_and_every_negation(text: str) -> None:
    """So equal forms have equal numbers and an equal parity of negations."""
    numbers = re.findall(r"\d+", normalize("NFKC", text))
    parity = sum(word in NEGATIONS for word in reading_of(text).words) % 2
    for form in (exact_form(text), content_form(text)):
        assert re.findall(r"\d+", normalize("NFKC", form)) == numbers
        assert sum(word in NEGATIONS for word in reading_of(form).words) % 2 == parity


def bag_of_words(text: str) -> str:
    """A broken form: it sorts, and drops short words and digits."""
    return " ".join(sorted(word for word in re.findall(r"[a-z]+", text.lower()) if len(word) > 3))


def test_no_trap_has_one_form_and_those_that_are_the_same_have() -> None:
    assert len(TRAPS) >= 200
    for form in (exact_form, content_form):
        assert [trap for trap in TRAPS if form(trap.one) == form(trap.other)] == []
    assert [pair for pair in SAME if exact_form(pair[0]) != exact_form(pair[1])] == []
    assert [pair for pair in (*SAME, *SAME_CONTENT) if content_form(pair[0]) != content_form(pair[1])] == []
    assert len([trap for trap in TRAPS if bag_of_words(trap.one) == bag_of_words(trap.other)]) > 20


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Can Polish be used on leather?", "Can polish be used on leather?"),
        ("Wo wohnen Sie?", "Wo wohnen sie?"),
        ("Wie heißt Ihr Hund?", "Wie heißt ihr Hund?"),
        ("Ich danke Ihnen.", "Ich danke ihnen."),
        ("What does turkey export?", "What does Turkey export?"),
        ("Which day of the march is the 3rd?", "Which day of the March is the 3rd?"),
        ("HOW DO I CLEAN CHINA", "how do I clean china"),
        ("Where does Job live?", "Where does job live?"),
    ],
)
def test_a_capital_that_makes_another_word_says_something(one: str, other: str) -> None:
    assert exact_form(one) != exact_form(other)
    assert content_form(one) != content_form(other)


def test_guards_stop_most_traps_and_nothing_that_is_the_same() -> None:
    passed = [trap for trap in TRAPS if failing_guard(trap.one, trap.other) is None]
    by_kind = {kind: sum(trap.kind == kind for trap in passed) for kind in {trap.kind for trap in TRAPS}}
    # Guards know opposites, numbers, order and the like; a word exchanged for another of its kind they do not.
    assert {kind for kind, count in by_kind.items() if count} == {"one word exchanged", "words that matter"}
    assert len(passed) == 29
    latin = [pair for pair in (*SAME, *SAME_CONTENT) if failing_guard(*pair) != "script"]
    assert len(latin) >= 14
    assert [pair for pair in latin if failing_guard(*pair) is not None] == []


@pytest.mark.parametrize("left_out", ["numbers", "negation", "antonyms", "order", "names", "dates", "units", "code", "question"])
def test_each_guard_stops_something_that_no_other_stops(left_out: str) -> None:
    def failing_without(one: str, other: str) -> bool:
        return any(not holds(reading_of(one), reading_of(other)) for name, holds in GUARDS.items() if name != left_out)

    missed = [trap for trap in TRAPS if failing_guard(trap.one, trap.other) == left_out and not failing_without(trap.one, trap.other)]
    assert missed


@given(TEXTS, TEXTS)
def test_guards_and_scores_do_not_ask_which_text_came_first(one: str, other: str) -> None:
    assert (failing_guard(one, other) is None) == (failing_guard(other, one) is None)
    assert pair_columns(one, other, cosine=0.5) == pytest.approx(pair_columns(other, one, cosine=0.5))


@given(TEXTS)
def test_a_text_passes_against_itself_unless_nothing_is_known_of_it(text: str) -> None:
    assert failing_guard(text, text) in {None, "script", "words", "length"}


@given(TEXTS, TEXTS, st.floats(-1, 1), st.integers(0, 9), st.integers(0, 9))
def test_a_score_is_a_chance(one: str, other: str, cosine: float, agreeing: int, differing: int) -> None:
    score = LexicalVerifier().score(one, other, cosine=cosine, agreeing=agreeing, differing=differing)
    assert 0 <= score <= 1
    assert score <= LexicalVerifier().score(one, other, cosine=cosine, agreeing=agreeing + 1, differing=max(1, differing)) or not differing


@given(TEXTS, TEXTS, st.floats(-1, 1), st.integers(0, 9), st.integers(0, 9))
@example("to-do in/on", "to-do in/on", 1.0, 0, 0)
@example("can't dont", "can't dont", 1.0, 4, 0)
@example("\u338f \u33c2", "kg a.m.", 1.0, 4, 0)
@example("0", "", -0.5404696913988011, 4, 2)
def test_no_score_exceeds_its_bound(one: str, other: str, cosine: float, agreeing: int, differing: int) -> None:
    verifier = LexicalVerifier()
    for stored in (one, other):
        score = verifier.score(one, stored, cosine=cosine, agreeing=agreeing, differing=differing)
        outlined = verifier.at_most(one, cosine=cosine, agreeing=agreeing, differing=differing, outline=verifier.outline(stored))
        assert score <= outlined
        # An outline tells more, never less.
        assert outlined <= verifier.at_most(one, cosine=cosine, agreeing=agreeing, differing=differing)


@pytest.mark.parametrize("outlined", [False, True])
def test_a_bound_that_counts_one_word_too_few_is_exceeded(monkeypatch: pytest.MonkeyPatch, *, outlined: bool) -> None:
    """The law above can fail."""
    verifier, text = LexicalVerifier(), "renew passport quickly"
    outline = verifier.outline(text) if outlined else b""
    score = verifier.score(text, text, cosine=1.0, agreeing=1)
    assert score <= verifier.at_most(text, cosine=1.0, agreeing=1, differing=0, outline=outline)
    monkeypatch.setattr(verifier_module, "most_length", lambda text: length_of(len(reading_of(text).content) - 1))
    monkeypatch.setattr(outlines, "_most_shared", lambda one, _bits, other, _other_bits: min(one, other) - 1)
    assert score > verifier.at_most(text, cosine=1.0, agreeing=1, differing=0, outline=outline)


@given(TEXTS)
def test_reasons_are_words_of_ours(text: str) -> None:
    """They go to logs; a text must not."""
    assert time_relative(text) in {None, *(time_relative(one) for one in ("today", "now", "latest", "weather"))}
    assert refusal(text) in {None, "it is empty", "it reads like a refusal"}
    assert cut_off(text) in {None, "it did not come to its own end"}


def test_no_word_of_a_long_text_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at = defaultdict[str, bool](lambda: True)
    monkeypatch.setattr(wordings, "says_all", looked_at)
    content_form("rent " * READ_CHARACTERS)
    assert not looked_at


def test_long_texts_stay_as_they_are() -> None:
    text = "What is  this? " * 2 * READ_CHARACTERS
    assert exact_form(text) == content_form(text) == text.strip()
    assert failing_guard(text, text) == "length"
    assert time_relative(text) is not None
