"""What the near neighbours of a question say of one another: where their answers agree, the question is likely to have that answer."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from session_router.cache.judge import is_closed
from session_router.cache.text_forms import exact_form

if TYPE_CHECKING:
    from collections.abc import Sequence

    from session_router.core.cached import CachedAnswer


def agreement(answers: Sequence[CachedAnswer]) -> list[tuple[int, int]]:
    """Return, for each of some answers, how many of the others agree with it, and how many differ from it.

    Closed answers agree if they say the same after canonicalisation, and differ otherwise. Of longer ones nobody knows whether they
    differ: two of them agree if they are the same text, and otherwise count as neither. The work grows with the number of answers
    only, not with that of pairs.
    """
    closed = [is_closed(answer) for answer in answers]
    # An exact form does not begin with a line break: no longer answer is taken for a closed one.
    forms = [exact_form(answer.text) if short else f"\n{answer.text}" for answer, short in zip(answers, closed, strict=True)]
    alike, short_ones = Counter(forms), sum(closed)
    return [(alike[form] - 1, short_ones - alike[form] if short else 0) for form, short in zip(forms, closed, strict=True)]
