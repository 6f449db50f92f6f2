"""Drives the flow: performs its effects, sync or async, and never decides anything itself."""

from __future__ import annotations

import importlib
import logging
import time
import traceback
from contextvars import copy_context
from types import NoneType
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from session_router.aside import Aside
from session_router.core.boundary_choice import BoundaryChoice
from session_router.core.call import CANCELLED, Outcome
from session_router.core.checking import check_kind, check_ports, checked_each
from session_router.core.decision import Decision
from session_router.core.effects import (
    AbandonAnswer,
    AppendOutcome,
    AskHealth,
    Learn,
)
from session_router.core.eligibility import is_governed
from session_router.core.feedback import Feedback, Heard
from session_router.core.flow import observe, route, told
from session_router.core.health import HealthRules
from session_router.core.hearing import hear
from session_router.core.model import ModelName, ModelSpec
from session_router.core.policy import Policy
from session_router.core.readings import leave, left_before
from session_router.core.routes import specs_of
from session_router.detectors.detecting import Detecting
from session_router.driver import Driver
from session_router.errors import ConfigurationError, MissingExtra, NotHandedOn, StoreUnavailable
from session_router.health import HealthBoard, noticed
from session_router.identity import checked_key, new_key, population_id
from session_router.recent import RecentDecisions
from session_router.recorder import Recorder
from session_router.rewriting import Rewriting
from session_router.waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from session_router.core.cached import CachedAnswer, CacheHit
    from session_router.core.call import Call
    from session_router.core.governance import Tag
    from session_router.core.pricing import Prices
    from session_router.core.readings import Place
    from session_router.core.session import Session
    from session_router.ports import (
        AuditLog,
        Clock,
        Detector,
        Observer,
        QuestionRewriter,
        ResponseCache,
        Scorer,
        SessionStore,
        SharedHealth,
    )

logger = logging.getLogger("session_router")

Result = TypeVar("Result")
AtOnce: TypeAlias = AbandonAnswer | Learn | AskHealth
"""Effects that wait for nobody."""

HEALTH_RULES = HealthRules()
"""What counts unless something else is given."""

_METHODS: Mapping[str, tuple[Sequence[str], str]] = {
    "store": (("load", "commit", "aload", "acommit"), "give a session store, such as `SQLiteSessionStore(path)`."),
    "scorer": (("score", "ascore"), "give an object with `score` and `ascore`."),
    "cache": (
        ("look_up", "alook_up", "store", "astore", "abandon", "veto", "aveto"),
        "give a response cache, such as `SemanticCache()`.",
    ),
    "audit": (("append",), "give an audit log, such as `AuditFile(path)`."),
    "clock": (("now",), "give an object with `now`."),
}
"""What a port must have, and the rule that an error states."""

_OPTIONAL = {"on_call", "on_feedback"}
"""What observers need not have."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        """Return POSIX seconds."""
        return time.time()


class Router:
    """Answers, for every model call: may this model see it, may the session switch, should it.

    Args:
        routes: Abstract model names to chat models, provider strings such as `openai:gpt-5-mini`, or `ModelSpec`s.
        prices: Prices by model name, for routes that bring none.
        policy: The settings.
        store: Where sessions live; in this process's memory unless given.
        scorer: Predicts need; the lexical estimate unless given.
        cache: Where answers may be replayed from, such as `SemanticCache()`; `None` for none.
        rewriter: Makes the last question of a conversation stand alone, so that other conversations may share its answer; `None` for
            none: then everything before the question must be equal. What it leaves out of a question, nobody is asked about.
        audit: Where decisions, and what came of them, are recorded.
        detectors: Look at every new text of a request, and may raise its label.
        observers: Watch decisions and outcomes.
        clock: The only source of time.
        key: Key of session identities, 16 bytes or more; the store's own key unless given, or a random one, which
            is enough for a store that lives as long as the process.
        health: When a model counts as unhealthy, and how long its sessions wait for it; `None` for no notice of health. Replicas
            share it where their store can.

    Raises:
        ConfigurationError: There is no route, a route has no price, or a name is not text.
    """

    def __init__(  # noqa: PLR0913 -- each is one port
        self,
        routes: Mapping[str, Any],
        *,
        prices: Mapping[str, Prices] | None = None,
        policy: Policy | None = None,
        store: SessionStore | None = None,
        scorer: Scorer | None = None,
        cache: ResponseCache | None = None,
        rewriter: QuestionRewriter | None = None,
        audit: AuditLog | None = None,
        detectors: Sequence[Detector] = (),
        observers: Sequence[Observer] = (),
        clock: Clock | None = None,
        key: bytes | None = None,
        health: HealthRules | None = HEALTH_RULES,
    ) -> None:
        from session_router.scorers.lexical import LexicalScorer
        from session_router.stores.memory import MemorySessionStore

        check_kind(policy, (Policy, NoneType), key="policy", rule="give a `Policy`.")
        check_kind(key, (bytes, NoneType), key="key", rule="give bytes, such as `secrets.token_bytes(32)`.")
        check_ports({"store": store, "scorer": scorer, "cache": cache, "audit": audit, "clock": clock}, _METHODS)
        rule = "give a list of observers: objects with `on_decision` and `on_outcome`."
        watching = checked_each(observers, "on_decision", "on_outcome", key="observers", rule=rule)
        self.policy = policy or Policy()
        self.models: Mapping[ModelName, ModelSpec] = specs_of(routes, prices or {}, self.policy)
        self._look_at_routes()
        self.store: SessionStore = MemorySessionStore() if store is None else store
        self.scorer: Scorer = LexicalScorer() if scorer is None else scorer
        self.cache = cache
        self.rewriter = None if rewriter is None else Rewriting(rewriter)
        self.audit = audit
        self.detecting = Detecting(detectors, self.policy) if detectors else None
        self.observers = watching
        self.clock: Clock = SystemClock() if clock is None else clock
        own: bytes | None = getattr(self.store, "key", None)
        self.key = checked_key(key) if key is not None else new_key() if own is None else own
        shared: SharedHealth | None = getattr(self.store, "health", None)
        check_kind(health, (HealthRules, NoneType), key="health", rule="give `HealthRules(...)`.")
        self.health = None if health is None else HealthBoard(health, is_shared=shared is not None)
        self._recorder, self._aside = Recorder(audit, lambda: self.models), Aside()
        self._driver = Driver(self, self._recorder, Waiting(self.clock, self.health, shared))
        self._population = population_id(self.key)
        self._recent = RecentDecisions()

    def route(self, call: Call) -> Decision:
        """Decide who answers `call`.

        Returns:
            The decision; `decision.chosen()` gives the model, or raises what a refusal stands for.
        """
        self._tell("on_call", call)
        decision = self._driver.drive(route(call, self.models, self.policy, self._population))
        self._recent.decided(decision)
        self._tell("on_decision", decision)
        return decision

    async def aroute(self, call: Call) -> Decision:
        """Do what `route` does without blocking the event loop."""
        self._tell("on_call", call)
        decision = await self._driver.adrive(route(call, self.models, self.policy, self._population))
        self._recent.decided(decision)
        self._tell("on_decision", decision)
        return decision

    def observe(self, decision: Decision, outcome: Outcome) -> Session | None:
        """Tell what came of `decision`; returns the session as stored, if it was."""
        self._recent.answered(decision, outcome)
        session = self._driver.drive(observe(decision, outcome, self._population))
        if self.health is not None:
            self._driver.drive(noticed(self.health, decision, outcome))
        self._tell("on_outcome", decision, outcome)
        return session

    async def aobserve(self, decision: Decision, outcome: Outcome) -> Session | None:
        """Do what `observe` does without blocking the event loop."""
        self._recent.answered(decision, outcome)
        session = await self._driver.adrive(observe(decision, outcome, self._population))
        if self.health is not None:
            await self._driver.adrive(noticed(self.health, decision, outcome))
        self._tell("on_outcome", decision, outcome)
        return session

    def replayed(self, decision: Decision) -> None:
        """Tell that the stored answer of `decision` was replayed."""
        self._driver.drive(told(decision, Outcome(at=decision.at, model=None)))

    async def areplayed(self, decision: Decision) -> None:
        """Do what `replayed` does without blocking the event loop."""
        await self._driver.adrive(told(decision, Outcome(at=decision.at, model=None)))

    def cancelled(self, decision: Decision) -> None:
        """Tell that nobody waits any more for the model that `decision` chose. Blocks no event loop, and raises nothing.

        Only that is recorded. The session stays as it is: the model may have read what was sent, and is not known to be ill.
        """
        # Where the garbage collector closes a stream, its thread may be in the middle of a record, or in an observer.
        context = copy_context()
        self._aside.hand_over(lambda: context.run(self._tell_of_cancelled, decision))

    def _tell_of_cancelled(self, decision: Decision) -> None:
        try:
            outcome = Outcome(at=self.clock.now(), model=None, error=CANCELLED)
            self._recorder.record(AppendOutcome(decision, outcome))
            self._tell("on_outcome", decision, outcome)
        except Exception as error:  # noqa: BLE001 -- nobody waits for it who could be told
            logger.warning("it is not recorded that decision %s came to nothing: %s", decision.id, type(error).__name__)

    def admit(self, *, is_retry: bool) -> bool:
        """Say whether a model may be asked now; tell whether it has failed this very call before, since retries have a budget."""
        if self.health is None:
            return True
        if is_retry:
            return self.health.retried()
        self.health.called()
        return True

    def hand_on(self, places: Sequence[Place], tag: Tag) -> None:
        """Tell the graphs around a session the label of what came into it, and no model has read.

        Raises:
            NotHandedOn: The store did not take it.
        """
        if places and not self._driver.drive(leave(places, tag, now=self.clock.now())):
            raise NotHandedOn(tag=tag.describe())

    async def ahand_on(self, places: Sequence[Place], tag: Tag) -> None:
        """Do what `hand_on` does without blocking the event loop."""
        if places and not await self._driver.adrive(leave(places, tag, now=self.clock.now())):
            raise NotHandedOn(tag=tag.describe())

    def left_before(self, place: Place) -> Tag:
        """Return the label of all that was left at `place`, before what is done there is done again.

        Raises:
            StoreUnavailable: The store does not say.
        """
        return _known(self._driver.drive(left_before(place, self.policy)))

    async def aleft_before(self, place: Place) -> Tag:
        """Do what `left_before` does without blocking the event loop."""
        return _known(await self._driver.adrive(left_before(place, self.policy)))

    def keep(self, decision: Decision, answer: CachedAnswer) -> str | None:
        """Tell the cache the answer to what it missed for `decision`.

        Returns:
            Why it was not kept; `None` when it was.
        """
        if self.cache is None or decision.asked is None:
            return "nobody asked a cache for it"
        try:
            return self.cache.store(decision.asked, answer)
        except Exception as error:  # noqa: BLE001 -- a cache that breaks its promise may not cost the answer
            return _not_kept(error)

    async def akeep(self, decision: Decision, answer: CachedAnswer) -> str | None:
        """Do what `keep` does without blocking the event loop."""
        if self.cache is None or decision.asked is None:
            return "nobody asked a cache for it"
        try:
            return await self.cache.astore(decision.asked, answer)
        except Exception as error:  # noqa: BLE001 -- as above
            return _not_kept(error)

    def abandon(self, decision: Decision) -> None:
        """Tell the cache that no answer will come to what it missed for `decision`: whoever waits for it goes on. Never blocks."""
        if self.cache is not None and decision.asked is not None:
            self._driver.abandon(decision.asked)

    def feedback(self, decision: Decision | Mapping[str, Any] | str, feedback: Feedback) -> Heard:
        """Tell how well the segment was served that `decision` belongs to; any of its calls will do.

        What is learned is how far off the scorer's chances for that model are. The session acts on it at its next boundary, never
        under a lock; sessions that begin later begin with it. A session that its framework carries with a checkpoint does not learn
        itself. The same feedback told again for one segment counts once, whichever process it reaches, while the stored row
        remembers it: for the last 64 pieces of a session, and the last 64 of all. An answer that was replayed from the cache and is
        called bad never answers such a question again.

        Args:
            decision: The decision; its row, as `Decision.to_plain` or an audit log has it; the facts that an answer carries in
                `response_metadata["session_router"]`; or its id, as long as this process remembers it (10,000 decisions).
            feedback: What is said, such as `Feedback.thumbs(up=False)`.

        Returns:
            What became of it. There is nothing to learn where no chances chose the model: a pin, a refusal, an only candidate.

        Raises:
            UnknownDecision: An id is not remembered here.
            ConfigurationError: An argument is something else.
        """
        name, about = self._found(decision, feedback)
        heard = Heard.NOTHING if about is None else self._driver.drive(hear(about, feedback, self._population))
        return self._heard(name, feedback, heard)

    async def afeedback(self, decision: Decision | Mapping[str, Any] | str, feedback: Feedback) -> Heard:
        """Do what `feedback` does without blocking the event loop."""
        name, about = self._found(decision, feedback)
        heard = Heard.NOTHING if about is None else await self._driver.adrive(hear(about, feedback, self._population))
        return self._heard(name, feedback, heard)

    def _found(self, decision: Decision | Mapping[str, Any] | str, feedback: Feedback) -> tuple[str, BoundaryChoice | CacheHit | None]:
        check_kind(feedback, Feedback, key="feedback", rule="give a `Feedback`, such as `Feedback.thumbs(up=True)`.")
        name, about = self._recent.found(decision)
        # Beliefs about what is no route any more would only fill the rows.
        return name, None if isinstance(about, BoundaryChoice) and about.model not in self.models else about

    def _heard(self, name: str, feedback: Feedback, heard: Heard) -> Heard:
        if heard is not Heard.REPEATED:
            self._tell("on_feedback", name, feedback)
        return heard

    def describe(self, models: Mapping[ModelName, ModelSpec]) -> None:
        """Put what an integration found out about the routes in place of what the user left open.

        Raises:
            ConfigurationError: These are not the routes of this router.
        """
        if set(models) != set(self.models):
            raise ConfigurationError(key="routes", value=sorted(models), rule=f"this router has {sorted(self.models)!r}.")
        self.models = {name: models[name] for name in self.models}
        self._look_at_routes()

    def _look_at_routes(self) -> None:
        # Once, and not at every call.
        self.is_governed = is_governed(self.models, self.policy)

    def as_model_selector(self, tools: Sequence[Any] = (), *, is_async: bool = False) -> Callable[..., Any]:
        """Return a dynamic model for LangGraph's `create_react_agent`; `tools` are bound to what it chooses.

        Raises:
            MissingExtra: LangGraph is not installed.
        """
        try:
            # By name: this package must not depend on the integrations that depend on it.
            integration = importlib.import_module("session_router_langgraph")
        except ImportError as error:
            raise MissingExtra(extra="langchain", package="langgraph", feature="as_model_selector") from error
        selector: Callable[..., Any] = integration.model_selector(self, tools, is_async=is_async)
        return selector

    def _tell(self, event: str, *facts: object) -> None:
        for observer in self.observers:
            if event in _OPTIONAL and not hasattr(observer, event):
                continue
            try:
                getattr(observer, event)(*facts)
            except Exception as error:  # noqa: BLE001 -- an observer changes nothing
                # Only its class: an observer was shown what was asked, and its error may hold it.
                logger.error(  # noqa: TRY400 -- as above
                    "observer %s failed on %s (%s); it changes nothing", type(observer).__name__, event, type(error).__name__
                )
                logger.debug("where it failed:\n%s", "".join(traceback.format_tb(error.__traceback__)))


def _known(tag: Tag | None) -> Tag:
    if tag is None:
        msg = "the session store does not say what was read before this was interrupted, and nothing was done. Go on when it is available."
        raise StoreUnavailable(msg)
    return tag


def _not_kept(error: Exception) -> str:
    # Its text may hold what was asked.
    logger.warning("the cache failed to keep an answer, and the answer goes on without: %s", type(error).__name__)
    return f"it could not be kept ({type(error).__name__})"
