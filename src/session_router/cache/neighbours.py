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
    texts = [answer.text for answer in answers]
    if len(set(texts)) > 1:
        # An exact form does not begin with a line break: no longer answer is taken for a closed one.
        texts = [exact_form(text) if short else f"\n{text}" for text, short in zip(texts, closed, strict=True)]
    alike, short_ones = Counter(texts), sum(closed)
    return [(alike[text] - 1, short_ones - alike[text] if short else 0) for text, short in zip(texts, closed, strict=True)]
