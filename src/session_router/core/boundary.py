"""When a session must not change models: transcript -> Lock | None.

The state machine is the table `TRANSITIONS`; the diagram in the docs is drawn from it. A pair that is not
in the table is an `InternalError`. A `Transcript` runs the machine as it is extended, over each message once: an AI message
puts it into the same phase whatever came before.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from session_router.core.step import AskKind, Role
from session_router.core.value import maker, value
from session_router.errors import InternalError

if TYPE_CHECKING:
    from session_router.core.step import Ask, Step
    from session_router.core.transcript import Transcript


class Phase(StrEnum):
    """Where a transcript stands."""

    OPEN = "open"  # a user turn waits for its answer, or nothing was said yet
    ASKED = "asked"  # calls wait for results
    ANSWERED = "answered"  # all results are there, no model has read them
    INVALID = "invalid"  # only unparsable calls, not repaired yet
    PAUSED = "paused"  # a provider-run tool is not finished
    PARTIAL = "partial"  # the last message is still streaming
    FINAL = "final"  # the turn has its final answer


class Event(StrEnum):
    """What one step does to the phase."""

    SYSTEM = "system"
    HUMAN = "human"
    INJECTED = "injected"
    AI_ASKS = "ai_asks"
    AI_INVALID = "ai_invalid"
    AI_PAUSED = "ai_paused"
    AI_PARTIAL = "ai_partial"
    AI_FINAL = "ai_final"
    ANSWER = "answer"  # answers something, something else is still open
    LAST_ANSWER = "last_answer"  # answers the last open ask
    ORPHAN = "orphan"  # a result that nothing in the transcript asked for


_AI: dict[Event, Phase] = {
    Event.AI_ASKS: Phase.ASKED,
    Event.AI_INVALID: Phase.INVALID,
    Event.AI_PAUSED: Phase.PAUSED,
    Event.AI_PARTIAL: Phase.PARTIAL,
    Event.AI_FINAL: Phase.FINAL,
}


def _row(stays: Phase, *, human: Phase = Phase.OPEN, **answers: Phase) -> dict[Event, Phase]:
    unmoved = {Event.SYSTEM: stays, Event.INJECTED: stays, Event.ORPHAN: stays}
    return {**unmoved, Event.HUMAN: human, **_AI, **{Event(name): phase for name, phase in answers.items()}}


TRANSITIONS: dict[Phase, dict[Event, Phase]] = {
    Phase.OPEN: _row(Phase.OPEN),
    # A human who speaks while calls are open has abandoned them: their results are unknown, the turn is new.
    Phase.ASKED: _row(Phase.ASKED, answer=Phase.ASKED, last_answer=Phase.ANSWERED),
    Phase.ANSWERED: _row(Phase.ANSWERED),
    # Unparsable calls are a boundary only once the framework has put an error result behind each of them.
    Phase.INVALID: _row(Phase.INVALID, human=Phase.INVALID, answer=Phase.INVALID, last_answer=Phase.FINAL),
    # Client calls and invalid calls may stand beside the provider's unfinished tool: their answers do not finish it.
    Phase.PAUSED: _row(Phase.PAUSED, answer=Phase.PAUSED, last_answer=Phase.ANSWERED),
    # What was answered was complete, whatever the chunk said.
    Phase.PARTIAL: _row(Phase.PARTIAL, answer=Phase.ASKED, last_answer=Phase.ANSWERED),
    Phase.FINAL: _row(Phase.FINAL),
}
"""`TRANSITIONS[phase][event]` is the next phase."""


class LockKind(StrEnum):
    """Why the model must stay."""

    TOOL_CALLS_UNANSWERED = "tool_calls_unanswered"
    TOOL_RESULTS_UNREAD = "tool_results_unread"
    CLIENT_BLOCK_UNANSWERED = "client_block_unanswered"
    INVALID_CALL_UNREPAIRED = "invalid_call_unrepaired"
    SERVER_TOOL_UNFINISHED = "server_tool_unfinished"
    PARTIAL_MESSAGE = "partial_message"
    STORED = "stored"


@value
class Lock:
    """The reason why the model must stay.

    Attributes:
        kind: Which rule holds.
        model: Who asked, as the transcript knows it; `None` when the asker left no name, in which case the
            session's current model is meant.
        waiting_for: Ids of what is still unanswered; empty once all results are there.
    """

    kind: LockKind
    model: str | None
    waiting_for: tuple[str, ...] = ()


new_lock = maker(Lock)


@value
class Position:
    """What the machine remembers.

    Attributes:
        phase: Where the transcript stands.
        author: Who wrote the last AI message.
        agent: Which agent it belongs to.
        open: What is still unanswered.
        abandoned: Asks that a human's next turn closed without a result.
        orphans: Ids answered that nothing in the transcript asked for; empty text for a result without an id.
    """

    phase: Phase = Phase.OPEN
    author: str | None = None
    agent: str | None = None
    open: tuple[Ask, ...] = ()
    abandoned: tuple[Ask, ...] = ()
    orphans: tuple[str, ...] = ()


new_position = maker(Position)


BEGINNING = Position()
"""Before the first message."""


def event_of(step: Step, position: Position) -> Event:
    """Name what `step` does to `position`."""
    if step.role is Role.SYSTEM:
        return Event.SYSTEM
    if step.role is Role.AI:
        return _event_of_ai(step)
    if step.answers:
        left = {ask.id for ask in position.open}
        if left.intersection(step.answers):
            return Event.LAST_ANSWER if left <= set(step.answers) else Event.ANSWER
        return Event.ORPHAN
    if step.role is Role.TOOL:
        return Event.ORPHAN
    return Event.INJECTED if step.injected else Event.HUMAN


def _event_of_ai(step: Step) -> Event:
    if step.partial:
        return Event.AI_PARTIAL
    if not step.asks:
        return Event.AI_FINAL
    kinds = {ask.kind for ask in step.asks}
    if kinds & {AskKind.TOOL_CALL, AskKind.CLIENT_BLOCK}:
        return Event.AI_ASKS
    if AskKind.SERVER_TOOL in kinds:
        return Event.AI_PAUSED
    if AskKind.INVALID_CALL in kinds:
        return Event.AI_INVALID
    return Event.AI_FINAL


def advance(position: Position, step: Step) -> Position:
    """Move one step on.

    Raises:
        InternalError: The pair is not in `TRANSITIONS`.
    """
    event = event_of(step, position)
    phase = TRANSITIONS[position.phase].get(event)
    if phase is None:
        raise InternalError(state=position.phase, event=event)
    author, agent, left, abandoned, orphans = position.author, position.agent, position.open, position.abandoned, position.orphans
    if step.role is Role.AI:
        author, agent, left, abandoned, orphans = step.author, step.agent, step.asks, (), ()
    elif event is Event.HUMAN and phase is Phase.OPEN:
        left, abandoned, orphans = (), abandoned + left, ()
    elif event is Event.ANSWER or event is Event.LAST_ANSWER:
        left = tuple(ask for ask in left if ask.id not in step.answers)
    elif event is Event.ORPHAN:
        orphans += step.answers or ("",)
    return new_position(phase=phase, author=author, agent=agent, open=left, abandoned=abandoned, orphans=orphans)


def find_lock(
    transcript: Transcript,
    *,
    closed: bytes | None = None,
    stored: Lock | None = None,
    agent: str | None = None,
) -> Lock | None:
    """Say why the session must not change models, or `None` at a boundary.

    Args:
        transcript: The history as it will be sent.
        closed: Digest of the step at which the last run ended. A run may end on a tool message
            (`return_direct`, structured output by tool); its lock ends with it.
        stored: The lock that the session remembers. Where the transcript shows results whose asker is gone (a
            trimmed history), it names the asker; the results lock without it, so a lost store never costs
            correctness and no lock lasts forever.
        agent: Whose call this is. Agents that share a history (a handoff) do not lock one another: each has a
            session of its own.

    Returns:
        The lock, or `None`.
    """
    if closed is not None and transcript.steps and transcript.steps[-1].digest == closed:
        return None
    position = transcript.position
    if agent is not None and position.agent is not None and position.agent != agent:
        return None
    if position.phase in {Phase.OPEN, Phase.FINAL}:
        return _lock_of_orphans(position, stored)
    kind = _kind_of(position.open) if position.phase is Phase.ASKED else _KINDS[position.phase]
    return new_lock(kind=kind, model=position.author, waiting_for=tuple(ask.id for ask in position.open))


_KINDS: dict[Phase, LockKind] = {
    Phase.ANSWERED: LockKind.TOOL_RESULTS_UNREAD,
    Phase.INVALID: LockKind.INVALID_CALL_UNREPAIRED,
    Phase.PAUSED: LockKind.SERVER_TOOL_UNFINISHED,
    Phase.PARTIAL: LockKind.PARTIAL_MESSAGE,
}


def _lock_of_orphans(position: Position, stored: Lock | None) -> Lock | None:
    if not position.orphans:
        return None
    if stored is not None and set(position.orphans) & set(stored.waiting_for):
        return new_lock(kind=LockKind.STORED, model=stored.model, waiting_for=stored.waiting_for)
    return new_lock(kind=LockKind.TOOL_RESULTS_UNREAD, model=None)


def _kind_of(open_: tuple[Ask, ...]) -> LockKind:
    kinds = {ask.kind for ask in open_}
    if kinds & {AskKind.TOOL_CALL, AskKind.INVALID_CALL}:
        return LockKind.TOOL_CALLS_UNANSWERED
    return LockKind.CLIENT_BLOCK_UNANSWERED if AskKind.CLIENT_BLOCK in kinds else LockKind.SERVER_TOOL_UNFINISHED
