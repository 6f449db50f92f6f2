"""One model call from routing to outcome, written once: a generator pumped sync or async; streams have pumps of their own."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from session_router.core.call import Call, Outcome
from session_router.core.decision import Reason
from session_router.core.outlived import is_outlived
from session_router.errors import InternalError
from session_router_langchain.authors import provider_id_of
from session_router_langchain.delivery import DeliveryProbe
from session_router_langchain.lineage import brought_back
from session_router_langchain.outcomes import NOTHING_SAID, failure_of, is_given_up, outcome_of, stamped
from session_router_langchain.passage_effects import (
    Admit,
    Answered,
    Attempt,
    Broken,
    Effect,
    Keep,
    Observe,
    Pause,
    Replay,
    Route,
    aperform,
    perform,
)
from session_router_langchain.stored_answers import answer_of, is_told_whole, replayed
from session_router_langchain.trying_again import Failures

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Mapping

    from langchain_core.messages import AIMessage

    from session_router.core.decision import Decision
    from session_router.core.session import Session
    from session_router.router import Router
    from session_router_langchain.models import ChatModels
    from session_router_langchain.narrowing import Narrowing

NOT_ASKED = "NotAsked"
"""What came of a decision whose model was not asked: the retry budget was spent, or what was permitted ended before it was sent."""

Response = TypeVar("Response")
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Passed(Generic[Response]):
    """The end of a passage.

    Attributes:
        response: What the framework gets.
        message: The whole answer in it, if there is one.
        decision: Who was chosen, and why.
        outcome: What came of it.
        session: The session as stored, or to be carried on.
        beside: What the answer is to say of itself beside our facts.
    """

    response: Response
    message: AIMessage | None
    decision: Decision
    outcome: Outcome
    session: Session | None
    beside: Mapping[str, Any] = field(default_factory=dict[str, Any])


def passage(
    router: Router, call: Call, *, narrowing: Narrowing | None = None, artificial: bool = False
) -> Generator[Effect, Any, Passed[Any]]:
    """Route `call`, let the chosen model answer, fall back where that is safe, and say what came of it.

    Args:
        router: Who decides.
        call: What to route.
        narrowing: Makes smaller requests of one that no model may see; `None` where nothing does.
        artificial: Whether the answer's tool calls only carry structured output: nobody will ever answer them.

    Yields:
        Effects; send back their values.

    Returns:
        The end of it.

    Raises:
        SessionRouterError: The call was refused.
        Exception: The model failed and nothing may take its place; after several failures, the first.
    """
    missed = _Missed(router)
    try:
        return (yield from _passage(router, call, missed, narrowing=narrowing, artificial=artificial))
    finally:
        # Whatever happened, and though nobody may be waited for here any more: nobody waits for an answer that will not come.
        missed.abandon()


class _Missed:
    """The question that the cache had no answer to, until it is told one: another model may answer than the one it was missed for."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._decision: Decision | None = None

    def note(self, decision: Decision) -> None:
        if decision.asked is not None:
            self._decision = decision

    @property
    def waits(self) -> bool:
        """Whether the cache is still to be told."""
        return self._decision is not None

    def answered(self) -> Decision | None:
        decision, self._decision = self._decision, None
        return decision

    def abandon(self) -> None:
        if (decision := self.answered()) is not None:
            self._router.abandon(decision)


def _routed(call: Call, narrowing: Narrowing | None) -> Generator[Effect, Any, tuple[Decision, Call]]:
    """Route `call`; where no model may see it, route smaller ones until a model may see one of them."""
    decision: Decision = yield Route(call)
    if narrowing is not None and decision.reason is Reason.NOT_CLEARED:
        for smaller in narrowing.tries(decision, call):
            tried: Decision = yield Route(smaller)
            if not tried.refused:
                return tried, smaller
    return decision, call


def _decided(router: Router, call: Call, missed: _Missed, narrowing: Narrowing | None) -> Generator[Effect, Any, tuple[Decision, Call]]:
    """Route `call` until what is decided still holds when it is to be done: what was permitted may have ended meanwhile."""
    while True:
        decision, call = yield from _routed(call, narrowing)
        at = router.clock.now()
        if not is_outlived(decision, router.models, router.policy, now=at, purpose=call.purpose):
            return decision, call
        # Nobody has read the request, and nobody may wait for an answer to it.
        missed.note(decision)
        missed.abandon()
        session: Session | None = yield Observe(decision, Outcome(at=at, model=None, error=NOT_ASKED))
        carried = session if call.carried is not None and session is not None else call.carried
        call = replace(call, now=max(at, call.now), waited=decision.evidence.waited, carried=carried)


def _risen(call: Call, decision: Decision) -> Session | None:
    """Return the session that a framework must carry on after a hit: the one whose label has risen by what was replayed."""
    before, after = call.carried, decision.session
    return after if before is not None and after is not None and after.version > before.version else None


def _passage(
    router: Router, call: Call, missed: _Missed, *, narrowing: Narrowing | None, artificial: bool
) -> Generator[Effect, Any, Passed[Any]]:
    failures, is_paid = Failures(None if router.health is None else router.health.rules), False
    while True:
        decision, call = yield from _decided(router, call, missed, narrowing)
        if decision.refused and failures.first is not None:
            call = yield from _later(failures, failures.again(call, decision))
            is_paid = True
            continue
        if not decision.refused:
            brought_back(decision.tag)
        if decision.hit is not None:
            yield Replay(decision)
            return Passed(None, replayed(decision), decision, Outcome(at=decision.at, model=None), _risen(call, decision))
        decision.chosen()
        missed.note(decision)
        if not is_paid and not (yield Admit(failures.is_retry(decision))):
            # Nobody has read this request, and no endpoint failed it.
            yield Observe(decision, Outcome(at=router.clock.now(), model=None, error=NOT_ASKED))
            raise failures.first or InternalError(state="not asked", event="a first attempt")
        is_paid = False
        result = yield from _attempted(router, Attempt(decision, missed.waits and not artificial))
        at = router.clock.now()
        if isinstance(result, Answered):
            return (yield from _answered(router, decision, missed, result, at=at, artificial=artificial, narrowing=narrowing))
        failed = failure_of(result.error, at=at)
        session = yield Observe(decision, failed)
        following = failures.after(call, decision, failed, session, result.error, delivered=result.delivered)
        if following is None:
            raise result.error
        if following.failed != call.failed:
            call = following
            continue
        call = yield from _later(failures, following)
        is_paid = True


def _attempted(router: Router, attempt: Attempt) -> Generator[Effect, Any, Answered[Any] | Broken]:
    """Have a model asked; and where nobody waits for it any more, tell the router before that goes up."""
    try:
        result: Answered[Any] | Broken = yield attempt
    except GeneratorExit:
        # A pump of streams says nothing else of whatever ends them.
        router.cancelled(attempt.decision)
        raise
    if isinstance(result, Broken) and is_given_up(result.error):
        router.cancelled(attempt.decision)
        raise result.error
    return result


def _answered(
    router: Router,
    decision: Decision,
    missed: _Missed,
    result: Answered[Any],
    *,
    at: float,
    artificial: bool,
    narrowing: Narrowing | None,
) -> Generator[Effect, Any, Passed[Any]]:
    """Say what came of an answer, to the router and to the cache."""
    outcome = _outcome(router, decision, result, at=at, artificial=artificial)
    session: Session | None = yield Observe(decision, outcome)
    asked = None if result.own is None or not is_told_whole(result.own) else missed.answered()
    if asked is not None and result.own is not None:
        known = outcome_of(result.own, decision, router.models, at=at)
        yield Keep(asked, answer_of(result.own, decision, known, router.models))
    beside = NOTHING_SAID if result.message is None or narrowing is None else narrowing.beside(result.message)
    return Passed(result.response, result.message, decision, outcome, session, beside)


def _outcome(router: Router, decision: Decision, result: Answered[Any], *, at: float, artificial: bool) -> Outcome:
    if result.message is None:
        return Outcome(at=at, model=decision.model)
    if result.made_up:
        return Outcome(at=at, model=None, error=NOT_ASKED) if result.error is None else failure_of(result.error, at=at)
    outcome = outcome_of(result.message, decision, router.models, at=at, author=result.author, asked=result.asked)
    return replace(outcome, asks=()) if artificial else outcome


def _later(failures: Failures, call: Call | None) -> Generator[Effect, Any, Call]:
    """Return the call that asks a model again, when it is time for that and the budget allows it; raise the first error otherwise."""
    seconds = None if call is None else failures.pause(call)
    if call is None or seconds is None or not (yield Admit(is_retry=True)):
        raise failures.first or InternalError(state="nothing failed", event="a retry")
    return call.later(seconds, (yield Pause(seconds)))


def drive(  # noqa: PLR0913 -- one argument a fact
    router: Router,
    call: Call,
    attempt: Callable[[Decision, DeliveryProbe], Response],
    answer_in: Callable[[Response], AIMessage | None],
    *,
    replay: Callable[[AIMessage, Decision], Response] | None = None,
    own: Callable[[DeliveryProbe, Response], AIMessage | None] | None = None,
    narrowing: Narrowing | None = None,
    artificial: bool = False,
    models: ChatModels | None = None,
) -> Passed[Response]:
    """Pump a passage.

    Args:
        router: Who decides.
        call: What to route.
        attempt: Asks the chosen model, with the probe among its callbacks, and returns what the framework gets.
        answer_in: Finds the answer in what `attempt` returned.
        replay: Tells the framework a stored answer, and returns what it gets; needed where the call has terms for one.
        narrowing: As for `passage`.
        own: Finds what the chosen model itself answered to what was asked; without it, nothing is kept.
        artificial: As for `passage`.
        models: The routes' models. Given where others may answer in the chosen one's place: what does not say who wrote it is then
            whose model was seen to write it, and nobody's where none was.
    """
    with closing(passage(router, call, narrowing=narrowing, artificial=artificial)) as steps:
        effect = next(steps)
        try:
            while True:
                if not isinstance(effect, Attempt):
                    effect = steps.send(perform(router, effect))
                    continue
                probe = DeliveryProbe(wanted=effect.wanted)
                result: Answered[Response] | Broken
                try:
                    response = attempt(effect.decision, probe)
                    result = _heard(effect.decision, probe, response, answer_in(response), own=own, models=models)
                except BaseException as error:  # noqa: BLE001 -- the passage decides what goes up
                    result = Broken(error, probe.delivered)
                effect = steps.send(result)
        except StopIteration as stop:
            passed = cast("Passed[Response]", stop.value)
    if passed.decision.hit is None or passed.message is None or replay is None:
        return passed
    return replace(passed, response=replay(passed.message, passed.decision))


async def adrive(  # noqa: PLR0913 -- as there
    router: Router,
    call: Call,
    attempt: Callable[[Decision, DeliveryProbe], Awaitable[Response]],
    answer_in: Callable[[Response], AIMessage | None],
    *,
    replay: Callable[[AIMessage, Decision], Awaitable[Response]] | None = None,
    own: Callable[[DeliveryProbe, Response], AIMessage | None] | None = None,
    narrowing: Narrowing | None = None,
    artificial: bool = False,
    models: ChatModels | None = None,
) -> Passed[Response]:
    """Do what `drive` does without blocking the event loop."""
    with closing(passage(router, call, narrowing=narrowing, artificial=artificial)) as steps:
        effect = next(steps)
        try:
            while True:
                if not isinstance(effect, Attempt):
                    effect = steps.send(await aperform(router, effect))
                    continue
                probe = DeliveryProbe(wanted=effect.wanted)
                result: Answered[Response] | Broken
                try:
                    response = await attempt(effect.decision, probe)
                    result = _heard(effect.decision, probe, response, answer_in(response), own=own, models=models)
                except GeneratorExit:
                    # Thrown away. The garbage collector may have closed the passage before: it is told nothing more.
                    raise
                except BaseException as error:  # noqa: BLE001 -- the passage decides what goes up
                    result = Broken(error, probe.delivered)
                effect = steps.send(result)
        except StopIteration as stop:
            passed = cast("Passed[Response]", stop.value)
    if passed.decision.hit is None or passed.message is None or replay is None:
        return passed
    return replace(passed, response=await replay(passed.message, passed.decision))


def _heard(
    decision: Decision,
    probe: DeliveryProbe,
    response: Response,
    message: AIMessage | None,
    *,
    own: Callable[[DeliveryProbe, Response], AIMessage | None] | None,
    models: ChatModels | None,
) -> Answered[Response]:
    answered = Answered(response, message, own(probe, response) if own is not None and probe.wanted else None)
    if models is None or message is None:
        return answered
    chosen = decision.chosen()
    if not models.is_described(chosen, probe.described):
        names = () if probe.asked is None else models.asked_in(probe.described, probe.asked, chosen=chosen)
        answered = replace(answered, asked=names[0] if len(names) == 1 else None)
    if provider_id_of(message) is not None:
        return answered
    author = probe.author_of(message)
    is_other = author != models.asked_as(chosen)
    return replace(answered, author=author if is_other else None, made_up=probe.is_made_up(message), error=probe.error)


def itself(message: AIMessage) -> AIMessage:
    """Find the answer in a response that is one."""
    return message


def marked(passed: Passed[AIMessage]) -> AIMessage:
    """Return the answer of a passage whose response is one, with our facts on it."""
    if passed.decision.hit is not None:
        return passed.response
    return stamped(passed.response, passed.decision, passed.outcome.model, passed.beside)
