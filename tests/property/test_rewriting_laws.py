"""Laws of questions that were made to stand alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from session_router.cache.asked import Asking
from session_router.cache.partition import Partitions
from session_router.core.rewritten import Conversation, Rewritten, standing_alone
from session_router.testing.cached import a_question, digest

ASKING = Asking(b"k" * 32, Partitions(b"k" * 32, embedder=""))
NAMES = st.sampled_from(["a", "b", "ab", "1:a", ""])


@st.composite
def made(draw: st.DrawFn) -> tuple[tuple[Any, ...], bytes]:
    """Return what must be equal, and the key under which an answer would be found."""
    version, standing, tenant = draw(NAMES), draw(NAMES), draw(NAMES)
    number, before = draw(st.integers(0, 3)), draw(NAMES)
    said = (("human", before), ("human", draw(NAMES)))
    question = a_question(before, before=digest(before), tenant=tenant)
    conversation = Conversation(said=said, standing=digest(standing))
    asked = ASKING.asked(standing_alone(question, conversation, Rewritten(text=f"What is number {number}?", version=version)))
    return (version, standing, tenant, number), asked.exact  # type: ignore[union-attr]


@given(made(), made())
def test_what_was_rewritten_meets_what_was_rewritten_to_the_same_and_nothing_else(one: Any, other: Any) -> None:
    """Whatever was said before: same rewriter, same prompt and speakers, same question, and all that is equal in any case."""
    assert (one[0] == other[0]) == (one[1] == other[1])


@given(made(), NAMES, st.integers(0, 3))
def test_it_meets_no_question_as_it_was_asked(one: Any, before: str, number: int) -> None:
    for earlier in (digest(before), b"\x00" * 16):
        for tenant in ("a", "b", "ab", "1:a", ""):
            asked = ASKING.asked(replace(a_question(f"What is number {number}?", before=earlier), tenant=tenant))
            assert asked.exact != one[1]  # type: ignore[union-attr]
