"""What the default verifier makes of pairs."""

from __future__ import annotations

import pytest

from session_router.cache.verifier import COLUMNS, OTHERS, LexicalVerifier, pair_columns
from session_router.embedders.static import StaticEmbedder

PAIRS = [
    ("How do I reset my password?", "How can I reset my password?"),
    ("Where is my new card?", "Where is the new card that I ordered?"),
    ("What do you charge for a transfer?", "What is charged for a transfer?"),
]


def cosine(one: str, other: str) -> float:
    first, second = StaticEmbedder().embed([one, other])
    return float(first @ second)


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_what_is_more_alike_scores_higher(one: str, other: str) -> None:
    verifier = LexicalVerifier()
    far = "What is the boiling point of lead?"
    same = verifier.score(one, one, cosine=1.0)
    assert same > verifier.score(one, other, cosine=cosine(one, other)) > verifier.score(one, far, cosine=cosine(one, far))


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_what_neighbours_say_moves_the_score(one: str, other: str) -> None:
    verifier, near = LexicalVerifier(), cosine(one, other)
    split = [verifier.score(one, other, cosine=near, agreeing=OTHERS - no, differing=no) for no in range(OTHERS + 1)]
    assert split == sorted(split, reverse=True)
    assert split[0] > 0.9
    assert split[-1] < 0.5
    # More neighbours than it was fitted with say no more.
    assert verifier.score(one, other, cosine=near, agreeing=3 * OTHERS) == split[0]


def test_columns_say_what_texts_have_in_common() -> None:
    found = dict(zip(COLUMNS, pair_columns("How do I repair a red bicycle?", "How do I repair a red car?", cosine=0.7), strict=False))
    assert found["cosine"] == 0.7
    assert found["share of content words in common"] == pytest.approx(2 / 4)
    assert found["whether one content word was exchanged"] == 1.0
    assert found["whether both ask who, or when, or why"] == 1.0
    assert found["longest common run of words, with gaps, as a share"] == pytest.approx(6 / 7)


def test_a_long_text_takes_bounded_work() -> None:
    many = " ".join(f"word{number}" for number in range(20_000))
    assert pair_columns(many, many, cosine=1.0)[3] == 1.0
