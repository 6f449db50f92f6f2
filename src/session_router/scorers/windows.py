"""What is left of a text when a part of it is dropped, and how much less the rest asks for.

Text that forces upgrades is put before, behind or into a question that somebody else asked, and works whatever the question
(A. Shafran, R. Schuster, T. Ristenpart, V. Shmatikov, "Rerouting LLM Routers", 2025). So a window that covers it leaves a rest
that asks for no more than the question does.
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import groupby
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from session_router.scorers.canonical import canonical_text
from session_router.scorers.inputs import canonical_question

if TYPE_CHECKING:
    from collections.abc import Mapping

    from session_router.core.model import ModelName, ModelSpec
    from session_router.core.need import Question

LEAST_CHARACTERS = 64
"""Of a shorter text nothing is dropped: what would be left says next to nothing."""

_FURTHEST = 32  # characters to the end of a word; whoever writes without blanks is cut inside
_BLANK = re.compile(r"\s")


class Window(NamedTuple):
    """A part that is dropped, as shares of the text's characters.

    Attributes:
        name: What it is called.
        start: Where it begins, in [0, 1).
        end: Where it ends, in (start, 1].
    """

    name: str
    start: float
    end: float


WINDOWS = (
    Window("first half", 0.0, 0.5),
    Window("second half", 0.5, 1.0),
    Window("first quarter", 0.0, 0.25),
    Window("last quarter", 0.75, 1.0),
    Window("middle half", 0.25, 0.75),
)
"""Both halves, the first and the last quarter, the middle.

They cover a prefix or a suffix of up to half of the text, and whatever stands elsewhere and is up to a quarter of it.
"""


def questions_of(question: Question) -> tuple[Question, ...]:
    """Return what is scored of a question: all of it, and then the rest of it without each of `WINDOWS`, in their order.

    All in canonical text; of one that is too short, only all of it. Nothing but the text differs.
    """
    # Once, and no more of the turns before than counts: each window is read again.
    whole = canonical_question(question)
    text = whole.text
    if len(text) < LEAST_CHARACTERS:
        return (whole,)
    # What is cut may end in the middle of what belongs together: a blank and the accent on it.
    return (whole, *(replace(whole, text=canonical_text(_without(text, window))) for window in WINDOWS))


def _without(text: str, window: Window) -> str:
    return f"{text[: _place(text, window.start)]}\n{text[_place(text, window.end) :]}".strip()


def _place(text: str, share: float) -> int:
    """Return the end of the word that stands there."""
    place = round(share * len(text))
    if place in (0, len(text)):
        return place
    blank = _BLANK.search(text, place, place + _FURTHEST)
    return place if blank is None else blank.start()


def costs_of(models: Mapping[ModelName, ModelSpec]) -> dict[ModelName, float]:
    """Return what says which of `models` is the dearer one; those without prices are left out."""
    return {name: spec.prices.input + spec.prices.output for name, spec in models.items() if spec.prices is not None}


def jump_of(whole: Mapping[ModelName, float], rest: Mapping[ModelName, float], costs: Mapping[ModelName, float]) -> float:
    """Return by how much more a text asks for an upgrade than the rest of it.

    Of each pair of models, one dearer than the other, the whole text gives the dearer one a lead in `p_success`, and so does the
    rest. The jump is the largest difference of the two leads.

    Args:
        whole: `p_success` of the whole text, by model.
        rest: That of the rest.
        costs: Of the models that are compared, in any one unit; at most as many as have a `p_success`.

    Returns:
        In [-2, 2]; negative where the rest asks for more, and 0 where no two models differ in cost.
    """
    jump: float | None = None
    best = -inf  # the largest gain of a model that is cheaper than those at hand
    for _, names in groupby(sorted(costs, key=costs.__getitem__), key=costs.__getitem__):
        gains = [rest[name] - whole[name] for name in names]
        if best > -inf:
            jump = max(best - min(gains), -inf if jump is None else jump)
        best = max(best, *gains)
    return 0.0 if jump is None else jump
