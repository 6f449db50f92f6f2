"""One model request, before it is routed, and what came of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from session_router.core.boundary import Lock, LockKind
from session_router.core.exposure import kept_as
from session_router.core.session import Visit, new_visit
from session_router.core.step import AskKind
from session_router.core.value import maker, value

if TYPE_CHECKING:
    from session_router.core.binding import Binding
    from session_router.core.cache_terms import CacheTerms
    from session_router.core.decision import Decision
    from session_router.core.exposure import Held
    from session_router.core.governance import Tag
    from session_router.core.health import Failure
    from session_router.core.model import Capability, ModelName
    from session_router.core.need import Question
    from session_router.core.policy import OnDenied
    from session_router.core.pricing import Usage
    from session_router.core.readings import Place
    from session_router.core.session import Session, SessionId
    from session_router.core.step import Ask
    from session_router.core.transcript import Transcript


HELD_SHARE = 0.5
"""Weight of the last call in what a provider was seen to cache."""

LEAST_HELD = 0.05
"""A provider that cached nothing so far is still expected to cache a little, or it could never prove otherwise."""

CANCELLED = "Cancelled"
"""`Outcome.error` where nobody waits for the answer any more: a task that was cancelled, a stream that nobody reads on, an interrupt.

An interrupt of a graph too, which waits for a human: the call is made again when it goes on.
"""


@value
class Call:
    """One model request inside a turn.

    Attributes:
        transcript: The history as it will be sent.
        question: What a scorer may see of it.
        now: POSIX seconds.
        session: Who it is; `None` when the caller could not be identified, in which case routing knows the
            history and nothing else.
        carried: The session when the framework carries it with its own checkpoint; the store is then not asked.
        agent: Which agent calls; `None` when there is only one.
        requires: What the model must be able to do.
        bindings: What ties the request, rather than a message, to a provider (`previous_response_id`). An account that
            is not named is that of the current model.
        held: What the request refers to on the provider's side: its label counts as well.
        tag: Label of everything that carries no label of its own.
        inherited: Label of whatever made this call: of the agent whose tool makes it, for one. It counts whatever the call says.
        places: Where it stands in the graphs around its session, whose other sessions' labels may count for it; outermost first.
        withheld: Label of a request that was made smaller, because no model may see all of it; the session knows it, the model does not.
        system: Label that the system prompt itself bears; `None` for none.
        found: What detectors found in what is sent before the messages; `None` for nothing.
        offered: Label of whatever the tools on offer may return; `None` when one of them says nothing.
        purpose: What the call is for.
        only: The one model that the caller insists on.
        failed: Models that have just failed this call.
        waited: Seconds that this call has waited already, for a model to be healthy again and before retries.
        internal: Whether a middleware, not the agent, makes this call.
        narrowed: How the request was made smaller, because no model may see all of it; `None` where it was not.
        terms: On which terms a stored answer may stand for a new one; `None` when none may.
        principal: Under which id the store keeps what is known of the principal over all sessions; `None` for not known.
    """

    transcript: Transcript
    question: Question
    now: float
    session: SessionId | None = None
    carried: Session | None = None
    agent: str | None = None
    requires: frozenset[Capability] = frozenset()
    bindings: frozenset[Binding] = frozenset()
    held: tuple[Held, ...] = ()
    tag: Tag | None = None
    inherited: Tag | None = None
    places: tuple[Place, ...] = ()
    withheld: Tag | None = None
    system: Tag | None = None
    found: Tag | None = None
    offered: Tag | None = None
    purpose: str | None = None
    only: ModelName | None = None
    failed: tuple[ModelName, ...] = ()
    waited: float = 0.0
    internal: bool = False
    narrowed: OnDenied | None = None
    terms: CacheTerms | None = None
    principal: SessionId | None = None

    def later(self, seconds: float, now: object) -> Call:
        """Return this call after so many seconds; `now` is what a clock says then, which may stand still."""
        at = float(now) if isinstance(now, int | float) else 0.0
        return replace(self, now=max(at, self.now + seconds), waited=self.waited + seconds)


new_call = maker(Call)


@value
class Outcome:
    """What came of a decision.

    Attributes:
        at: POSIX seconds at which the answer was complete, or the error came.
        model: The model that really answered; `None` when it is not one of the routes.
        returned: The id under which its provider says that it answered; `None` when it says nothing.
        usage: Tokens, as the provider counted them; `None` when it did not.
        counts_cached: Whether the provider says how many of the tokens were cached; one that says nothing may cache.
        asks: What the answer waits for.
        kept_as: Digests of the ids under which the provider keeps it (`exposure.id_of`).
        error: Name of the exception's type; `None` when there was an answer.
        failure: What that says of the model's endpoint; `None` when it says nothing.
    """

    at: float
    model: ModelName | None
    returned: str | None = None
    usage: Usage | None = None
    counts_cached: bool = False
    asks: tuple[Ask, ...] = ()
    kept_as: tuple[str, ...] = ()
    error: str | None = None
    failure: Failure | None = None


def settle(session: Session, decision: Decision, outcome: Outcome) -> Session:
    """Fold what really happened into `session`; its version stays.

    The session moves to the model that answered, whichever was chosen, and counts a switch only if there was
    one. A failed call leaves nothing read and moves nothing. An outcome that comes after a later call was routed
    says what was read, and no more.
    """
    if decision.internal or decision.model is None:
        return session
    visits = dict(session.visits)
    visit = visits.get(decision.model)
    if visit is not None and visit.at == decision.at:
        # Nobody is known to have read this request; what was read before stands.
        visits.pop(decision.model)
        if decision.earlier is not None:
            visits[decision.model] = decision.earlier
    answered, lock, closed = decision.previous, session.lock, session.closed
    if outcome.error is None:
        answered, closed = outcome.model or decision.model, None
        lock = _lock_left_by(answered, outcome.asks)
        before = session.visits.get(answered)
        # What a later call has read, or is about to, is no less than this.
        if before is None or before.at <= decision.at or not _is_superseded(session, decision):
            visits[answered] = _visit(before, answered, decision, outcome)
    account, usage = session.account, _counted(outcome)
    if account is not None and usage is not None and outcome.error is None:
        account = account.answered(usage.output)
    exposures = session.exposures
    if decision.tag is not None:
        exposures = kept_as(exposures, outcome.kept_as, model=answered or decision.model, tag=decision.tag, sent=answered == decision.model)
    if _is_superseded(session, decision):
        return replace(session, visits=visits, exposures=exposures)
    elsewhere = decision.previous is not None and answered != decision.previous
    switched = decision.switched if answered == decision.model else elsewhere
    switches = max(0, session.switches + switched - decision.switched)
    return replace(
        session,
        current=answered,
        lock=lock,
        closed=closed,
        visits=visits,
        exposures=exposures,
        switches=switches,
        switched_at=None if switches == 0 else decision.turn if switched else session.switched_at,
        account=account,
    )


def _is_superseded(session: Session, decision: Decision) -> bool:
    """Whether a call was routed after `decision`, as far as `session` knows."""
    if decision.session is None or session.version < decision.session.version:
        return False
    return (session.turn, session.call) != (decision.turn, decision.call)


def _visit(before: Visit | None, answered: ModelName, decision: Decision, outcome: Outcome) -> Visit:
    """Say what `answered` has read, and what its provider's counts tell of our estimates."""
    scale, held = (1.0, 1.0) if before is None else (before.scale, before.held)
    usage, estimate = _counted(outcome), decision.prefix.tokens
    if usage is not None and usage.input > 0 and estimate > 0:
        scale = usage.input / estimate
        expected = next((one.cached for one in decision.evidence.candidates if one.model == answered), 0)
        if outcome.counts_cached and expected:
            # `expected` was already short of what should have been there, by `held`.
            held = max(LEAST_HELD, held + HELD_SHARE * (min(1.0, held * usage.cached / expected) - held))
    return new_visit(
        steps=decision.steps,
        digest=decision.prefix.digest,
        tokens=estimate if usage is None else usage.input,
        at=outcome.at,
        scale=scale,
        held=held,
    )


def _counted(outcome: Outcome) -> Usage | None:
    """Return what the provider counted; `None` when that cannot be counts, which are not ours to believe."""
    usage = outcome.usage
    return usage if usage is not None and usage.is_plausible else None


def _lock_left_by(model: ModelName, asks: tuple[Ask, ...]) -> Lock | None:
    kinds = {ask.kind for ask in asks}
    waiting = tuple(ask.id for ask in asks)
    if AskKind.TOOL_CALL in kinds:
        return Lock(kind=LockKind.TOOL_CALLS_UNANSWERED, model=model, waiting_for=waiting)
    if AskKind.CLIENT_BLOCK in kinds:
        return Lock(kind=LockKind.CLIENT_BLOCK_UNANSWERED, model=model, waiting_for=waiting)
    if AskKind.SERVER_TOOL in kinds:
        return Lock(kind=LockKind.SERVER_TOOL_UNFINISHED, model=model, waiting_for=waiting)
    return None
