"""What a cache would have done to recorded sessions: which of their calls would have hit, and how many of these hits were wrong."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from session_router.cache.judge import ClosedAnswerJudge
from session_router.core.cache_terms import CacheTerms, cache_question
from session_router.core.cached import CachedAnswer, CacheHit
from session_router.core.pricing import NOTHING, USD
from session_router.core.transcript import EMPTY_DIGEST

if TYPE_CHECKING:
    from collections.abc import Mapping

    from session_router.cache.judge import AnswerJudge
    from session_router.cache.semantic import SemanticCache
    from session_router.core.cache_terms import CacheRules
    from session_router.core.cached import CacheQuestion
    from session_router.core.model import ModelName, ModelSpec
    from session_router.replay.loop import ReplayedCall

EVERYBODY = "everybody in the recording"
"""Recordings name no users: one stands for all."""


@dataclass(slots=True)
class StoredCounts:
    """What a cache would have done, in numbers.

    Attributes:
        calls: Calls at which it would have been asked.
        hits: Those that it would have answered, by tier.
        right: Of the hits, those whose stored answer says what was recorded, as far as a judge can tell.
        wrong: Of the hits, those whose stored answer does not.
        saved: US dollars of the calls that would have hit.
    """

    calls: int = 0
    hits: Counter[str] = field(default_factory=Counter[str])
    right: int = 0
    wrong: int = 0
    saved: USD = NOTHING

    @property
    def all_hits(self) -> int:
        """Calls that it would have answered."""
        return sum(self.hits.values())


class StoredAnswers:
    """Shows recorded calls to a cache: each is looked up, and its recorded answer is stored.

    Args:
        cache: Empty, and of nobody else.
        rules: What the policy says of stored answers.
        models: The routes.
        judge: Compares a stored answer with the recorded one.
    """

    def __init__(
        self, cache: SemanticCache, rules: CacheRules, models: Mapping[ModelName, ModelSpec], *, judge: AnswerJudge | None = None
    ) -> None:
        self.cache = cache
        self.counts = StoredCounts()
        self._rules, self._models = rules, models
        self._judge = judge or ClosedAnswerJudge()

    def show(self, replayed: ReplayedCall) -> CacheHit | None:
        """Look one call up, and store its recorded answer; return the hit, if it is one."""
        question = self._question(replayed)
        if question is None:
            return None
        answer = _recorded(replayed)
        found = self.cache.look_up(question)
        self.counts.calls += 1
        # Also after a hit: what was recorded is the newer answer.
        self.cache.store(question, answer)
        if not isinstance(found, CacheHit):
            return None
        self.counts.hits[found.tier.value] += 1
        self.counts.saved = USD(self.counts.saved + replayed.dollars)
        if self._judge.judges(found.answer):
            verdict = self._judge.judge(question.text, found.answer, answer)
            wrong = answer.tool_calls or verdict is None or verdict.wrong > 0.5  # noqa: PLR2004 -- more wrong than right
            self.counts.wrong += wrong
            self.counts.right += not wrong
        elif answer.tool_calls:
            # Whatever it says: where a tool was asked for, an answer from a store would not have done.
            self.counts.wrong += 1
        return found

    def _question(self, replayed: ReplayedCall) -> CacheQuestion | None:
        call, transcript = replayed.call, replayed.call.transcript
        if replayed.decision.lock is not None or replayed.decision.model is None:
            return None
        if transcript.tool_results or not transcript.typed or transcript.typed[-1] != len(transcript.steps) - 1:
            return None
        terms = CacheTerms(
            text=call.question.text,
            before=transcript.prefixes[-2].digest if len(transcript.steps) > 1 else EMPTY_DIGEST,
            system=EMPTY_DIGEST,
            tools=replayed.recording.tools.to_bytes(16),
            settings=EMPTY_DIGEST,
            principal=EVERYBODY,
        )
        return cache_question(terms, self._rules, tag=None, session=call.session, specs=self._models, purpose=call.purpose, now=call.now)


def _recorded(replayed: ReplayedCall) -> CachedAnswer:
    message = replayed.recording.messages[replayed.message_index]
    model = replayed.decision.chosen()
    return CachedAnswer(
        content=message.said,
        model=model,
        at=replayed.call.now,
        usage=replayed.usage,
        cost=replayed.dollars,
        # Recordings say nothing of how an answer ended; what was recorded was taken for whole.
        finish_reason="stop",
        tool_calls=bool(message.step.asks),
    )
