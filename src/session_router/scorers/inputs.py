"""Questions -> what is embedded, and the features beside it. The same for fitting and for scoring."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from session_router.scorers.canonical import canonical_text
from session_router.scorers.corrections import READ_CHARACTERS
from session_router.scorers.features import READ_TEXTS, features_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from session_router.core.need import Question


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Inputs:
    """What is looked at of some questions.

    Attributes:
        texts: To be embedded: what the user typed, in canonical form; of a long text its beginning and its end.
        features: Shape (questions, len(FEATURES)).
    """

    texts: tuple[str, ...]
    features: NDArray[np.float64]


def inputs_of(questions: Sequence[Question]) -> Inputs:
    """Read `questions` in canonical form: how a text is encoded, and what nobody sees of it, does not count."""
    # The windows of one text have all but the text in common.
    recent = {texts: _canonical_recent(texts) for texts in {question.recent for question in questions}}
    read = [replace(question, text=canonical_text(question.text), recent=recent[question.recent]) for question in questions]
    return Inputs(texts=tuple(question.text for question in read), features=features_of(read))


def canonical_question(question: Question) -> Question:
    """Return `question` with its texts in canonical form: of the turns before the last eight, and of each its beginning."""
    return replace(question, text=canonical_text(question.text), recent=_canonical_recent(question.recent))


def _canonical_recent(texts: Sequence[str]) -> tuple[str, ...]:
    # Only who corrects, and how much was typed, counts of them.
    return tuple(canonical_text(text, beginning=READ_CHARACTERS - 1, end=0) for text in texts[-READ_TEXTS:])
