"""A session that is routed turn after turn, by whichever router is asked."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING, Any

from session_router.core.call import Call, Outcome
from session_router.core.model import ModelName
from session_router.core.need import Need, Question
from session_router.core.pricing import Usage
from values import SESSION, ai, digest, human, injected, tool, transcript

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from session_router.core.decision import Decision
    from session_router.core.model import ModelSpec
    from session_router.core.session import Session, SessionId
    from session_router.core.step import Step
    from session_router.core.transcript import Transcript
    from session_router.router import Router


@dataclass
class Says:
    """A scorer that says `chances`; they may be changed between calls."""

    chances: Mapping[ModelName, float]

    def score(self, question: Question, models: Mapping[ModelName, ModelSpec]) -> Mapping[ModelName, Need]:
        del question
        return {name: Need(p_success=self.chances[name]) for name in models}

    async def ascore(self, question: Question, models: Mapping[ModelName, ModelSpec]) -> Mapping[ModelName, Need]:
        return self.score(question, models)


@dataclass
class Talk:
    """One conversation; every message has a text of its own.

    Attributes:
        router: Who routes its calls; may be changed between them.
        session: Who it is.
        now: POSIX seconds of the next call.
        steps: The history.
    """

    router: Router
    session: SessionId | None = SESSION
    now: float = 1_000.0
    steps: list[Step] = field(default_factory=list)
    names: Iterator[int] = field(default_factory=count)

    @property
    def history(self) -> Transcript:
        return transcript(*self.steps)

    @property
    def stored(self) -> Session:
        assert self.session is not None
        stored = self.router.store.load(self.session)
        assert stored is not None
        return stored

    def call(self, **fields: Any) -> Call:
        history = self.history
        return Call(transcript=history, question=Question(text="", turn=history.turn), now=self.now, session=self.session, **fields)

    def asked(self, tokens: int = 10, *, wait: float = 1.0, **fields: Any) -> Decision:
        """A human types `tokens` tokens, `wait` seconds after the last answer, and the call is routed."""
        self.says(tokens, wait=wait)
        return self.again(**fields)

    def says(self, tokens: int = 10, *, wait: float = 1.0) -> None:
        """A human types, and nothing is routed."""
        self.now += wait
        self.steps.append(human(f"question {next(self.names)}", tokens=tokens))

    def again(self, **fields: Any) -> Decision:
        """The same request, once more."""
        return self.router.route(self.call(**fields))

    def answered(
        self,
        decision: Decision,
        *asks: str,
        tokens: int = 10,
        by: str | None = None,
        counted: float | None = None,
        cached: float | None = None,
        output: int = 10,
    ) -> None:
        """The chosen model answers, or the one that the handler fell back `by` itself.

        Args:
            decision: What was decided.
            asks: Ids of the tools that it calls.
            tokens: Of the answer.
            by: Who answers.
            counted: Tokens that the provider counts for one that we estimate; `None` when it counts none.
            cached: Share of the input that it says was cached; `None` when it does not say.
            output: Output tokens that it counts.
        """
        model = ModelName(by or decision.chosen())
        usage = None
        if counted is not None:
            read = round(decision.prefix.tokens * counted)
            usage = Usage(input=read, cached=round(read * (cached or 0.0)), output=output)
        answer = replace(ai(*asks, by=model, tokens=tokens), digest=digest("answer", next(self.names)))
        self.steps.append(answer)
        outcome = Outcome(at=self.now, model=model, usage=usage, counts_cached=cached is not None, asks=answer.asks)
        self.router.observe(decision, outcome)

    def turn(self, tokens: int = 10, *, wait: float = 1.0, answer: int = 10, loop: Iterable[int] = (), **how: Any) -> Decision:
        """A question, a tool call for every result of `loop` tokens, and the answer; returns the decision at the boundary."""
        decision = self.asked(tokens, wait=wait)
        self.went_on(decision, loop, answer=answer, **how)
        return decision

    def went_on(self, decision: Decision, loop: Iterable[int] = (), *, answer: int = 10, **how: Any) -> None:
        """The rest of a turn that `decision` began: a tool call for every result, and the answer."""
        for result in loop:
            name = f"call {next(self.names)}"
            self.answered(decision, name, tokens=answer, **how)
            self.now += 1.0
            self.steps.append(tool(name, tokens=result))
            decision = self.again()
        self.answered(decision, tokens=answer, **how)

    def rewritten(self, tokens: int = 10) -> None:
        """Everything so far becomes a summary."""
        self.steps = [replace(injected(f"summary {next(self.names)}"), tokens=tokens)]

    def failed(self, decision: Decision) -> None:
        """The call comes to nothing."""
        self.router.observe(decision, Outcome(at=self.now, model=None, error="RateLimitError"))
