"""The need that was predicted when a session was recorded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from session_router.core.need import Need

if TYPE_CHECKING:
    from collections.abc import Mapping

    from session_router.core.model import ModelName, ModelSpec
    from session_router.core.need import Question
    from session_router.ports import Scorer


@dataclass(frozen=True, slots=True)
class RecordedNeeds:
    """A scorer that says what was said, and asks another where nothing was recorded for every model in question.

    Attributes:
        needs: `p_success` in [0, 1], by turn and model.
        otherwise: Asked for the rest.
    """

    needs: Mapping[int, Mapping[str, float]]
    otherwise: Scorer

    def score(self, question: Question, models: Mapping[ModelName, ModelSpec]) -> Mapping[ModelName, Need]:
        """Return the need of every model in `models`."""
        return self._recorded(question, models) or self.otherwise.score(question, models)

    async def ascore(self, question: Question, models: Mapping[ModelName, ModelSpec]) -> Mapping[ModelName, Need]:
        """Do what `score` does without blocking the event loop."""
        return self._recorded(question, models) or await self.otherwise.ascore(question, models)

    def _recorded(self, question: Question, models: Mapping[ModelName, ModelSpec]) -> dict[ModelName, Need]:
        needs = self.needs.get(question.turn, {})
        return {name: Need(p_success=needs[name]) for name in models} if needs.keys() >= models.keys() else {}
