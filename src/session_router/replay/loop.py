"""Asks the router before each recorded answer, as if the session were live.

The answers keep their words and change their author: the model that the router decided on, not the one that was
recorded. Locks and warmth therefore belong to the session that the router would have had.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from session_router.core.call import Call, Outcome
from session_router.core.model import Capability
from session_router.core.need import Question
from session_router.core.prefix import cached_tokens
from session_router.core.pricing import USD, Usage, billed, call_cost
from session_router.core.session import Visit
from session_router.core.step import Role
from session_router.core.transcript import Transcript
from session_router.errors import ConfigurationError
from session_router.identity import SessionNames, session_id

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator, Iterator, Mapping

    from session_router.core.decision import Decision
    from session_router.core.model import ModelName, ModelSpec
    from session_router.core.step import Step
    from session_router.recordings import RecordedMessage, Recording
    from session_router.router import Router


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """The time that recordings lack. It decides how warm a prefix is.

    Attributes:
        start: POSIX seconds at which every session begins.
        turn_seconds: From an answer to what the user types next.
        call_seconds: From a call to its answer, the tools that it runs included.
    """

    start: float = 0.0
    turn_seconds: float = 20.0
    call_seconds: float = 5.0

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            ConfigurationError: A time is negative or not finite.
        """
        for name in ("turn_seconds", "call_seconds"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ConfigurationError(key=name, value=getattr(self, name), rule="give seconds >= 0.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayedCall:
    """One recorded call, and what the router decided.

    Attributes:
        recording: The session.
        message_index: Index of the answer in the recording's messages.
        call: What the router was asked.
        decision: What it said.
        usage: Tokens of the call on the chosen model. `input` and `output` are the recorded ones where they exist;
            `cached` and `written` are always estimates.
        measured: Whether `input` and `output` were recorded.
        dollars: Price of the call on the chosen model; 0 when refused.
    """

    recording: Recording
    message_index: int
    call: Call
    decision: Decision
    usage: Usage
    measured: bool
    dollars: USD

    def to_plain(self) -> dict[str, Any]:
        """Return JSON-ready values: one row of `session-router replay --json`."""
        usage = self.usage
        return {
            "session_id": self.recording.session_id,
            "message_index": self.message_index,
            **self.decision.to_plain(),
            "source": self.recording.source,
            "line": self.recording.line,
            "recorded_model": self.recording.model,
            "at": self.call.now,
            "tokens": {"input": usage.input, "cached": usage.cached, "written": usage.written, "output": usage.output},
            "tokens_measured": self.measured,
            "dollars": self.dollars,
        }


@dataclass(frozen=True, slots=True)
class _Observation:
    decision: Decision
    outcome: Outcome


_Request: TypeAlias = Call | _Observation | ReplayedCall


def replay_session(recording: Recording, router: Router, *, pace: Pace | None = None) -> Iterator[ReplayedCall]:
    """Ask `router` before each answer of `recording`.

    A refused call keeps its recorded answer, which then has no author: what follows shows what would be refused
    as well.

    Args:
        recording: The session.
        router: Its store should be empty of this session; a memory store is right.
        pace: The assumed times.

    Yields:
        One call after the other. A caller that stops early leaves the rest unasked.
    """
    flow = _replay(recording, router.models, router.key, pace or Pace())
    answer: Decision | None = None
    while (request := _next(flow, answer)) is not None:
        answer = None
        match request:
            case Call():
                answer = router.route(request)
            case _Observation():
                router.observe(request.decision, request.outcome)
            case ReplayedCall():
                yield request


async def areplay_session(recording: Recording, router: Router, *, pace: Pace | None = None) -> AsyncIterator[ReplayedCall]:
    """Do what `replay_session` does without blocking the event loop."""
    flow = _replay(recording, router.models, router.key, pace or Pace())
    answer: Decision | None = None
    while (request := _next(flow, answer)) is not None:
        answer = None
        match request:
            case Call():
                answer = await router.aroute(request)
            case _Observation():
                await router.aobserve(request.decision, request.outcome)
            case ReplayedCall():
                yield request


def _next(flow: Generator[_Request, Decision | None, None], answer: Decision | None) -> _Request | None:
    try:
        return flow.send(answer)
    except StopIteration:
        return None


def _replay(
    recording: Recording, models: Mapping[ModelName, ModelSpec], key: bytes, pace: Pace
) -> Generator[_Request, Decision | None, None]:
    # The line is part of the name: two recordings of one session id are two sessions.
    session = session_id(key, SessionNames(thread=f"{recording.line}:{recording.session_id}"), Transcript())
    transcript = Transcript()
    waiting: list[Step] = []
    visits: dict[ModelName, Visit] = {}
    requires = frozenset({Capability.TOOLS}) if recording.tools else frozenset[Capability]()
    now = pace.start
    for index, message in enumerate(recording.messages):
        step = message.step
        if step.role is not Role.AI:
            if step.role is Role.HUMAN and transcript.turn:
                now += pace.turn_seconds
            waiting.append(step)
            continue
        transcript = transcript.extended(waiting)
        *recent, text = (recording.messages[at].text for at in transcript.typed) if transcript.typed else ("",)
        question = Question(
            text=text,
            recent=tuple(recent),
            turn=transcript.turn,
            tools=recording.tools,
            tool_errors=transcript.tool_errors,
        )
        call = Call(transcript=transcript, question=question, now=now, session=session, requires=requires)
        decision = yield call
        assert decision is not None  # noqa: S101 -- what a driver sends for a `Call`
        replayed = _replayed(recording, index, message, call, decision, models, visits)
        yield replayed
        now += pace.call_seconds
        if decision.model is not None:
            visits[decision.model] = Visit.of(transcript, at=call.now)
            usage = replayed.usage if replayed.measured else None
            yield _Observation(decision, Outcome(at=now, model=decision.model, usage=usage, asks=step.asks))
        waiting = [replace(step, author=decision.model)]


def _replayed(
    recording: Recording,
    index: int,
    message: RecordedMessage,
    call: Call,
    decision: Decision,
    models: Mapping[ModelName, ModelSpec],
    visits: Mapping[ModelName, Visit],
) -> ReplayedCall:
    measured = message.usage is not None
    usage = message.usage or Usage(input=call.transcript.tokens, output=message.step.tokens)
    dollars = USD(0.0)
    if decision.model is not None:
        spec = models[decision.model]
        assert spec.prices is not None  # noqa: S101 -- the router refuses a model without prices
        usage = usage_on(spec, usage, call, visits.get(decision.model))
        dollars = call_cost(spec.prices, usage)
    return ReplayedCall(
        recording=recording, message_index=index, call=call, decision=decision, usage=usage, measured=measured, dollars=dollars
    )


def usage_on(spec: ModelSpec, usage: Usage, call: Call, visit: Visit | None) -> Usage:
    """Return `usage` with what the provider of a model would bill as cached and as written.

    The decision's evidence says what the router expected. This is what the recorded call takes, by one rule for every model
    and every way of routing: all that the model read at its last visit is cached while its provider keeps it.

    Args:
        spec: The model.
        usage: Tokens of the call; its `cached` and `written` are not read.
        call: The request.
        visit: How far the model has read; `None` for not at all.
    """
    cached = cached_tokens(call.transcript, visit, now=call.now, cache=spec.prompt_cache)
    usage = with_cached(usage, cached, of=call.transcript.tokens)
    return usage if spec.prices is None else billed(usage, spec.prices, spec.prompt_cache)


def with_cached(usage: Usage, cached: int, *, of: int) -> Usage:
    """Return `usage` with the share `cached / of` of its input cached: `of` is an estimate, `usage.input` may be a count."""
    share = cached / of if of else 0.0
    return Usage(input=usage.input, cached=min(usage.input, round(usage.input * share)), output=usage.output)
