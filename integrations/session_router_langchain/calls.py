"""LangChain's side of a call: who asks, with what history, for what kind of model."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from session_router.core.binding import BindingKind
from session_router.core.call import Call, new_call
from session_router.core.checking import check_kind
from session_router.core.decision import Action
from session_router.core.exposure import label_held
from session_router.core.governance import PUBLIC, join
from session_router.core.model import Capability
from session_router.core.need import new_question
from session_router.core.step import AskKind, Role
from session_router.identity import SessionNames, name_thread, principal_id, session_id
from session_router.router import Router
from session_router_langchain.cache_markers import without_cache_markers
from session_router_langchain.conversations import conversation_of
from session_router_langchain.exact import ExactReader
from session_router_langchain.inspecting import NOTHING, UNSEEN, Found, Inspection
from session_router_langchain.lineage import inherited, place_of_call
from session_router_langchain.loops import says_nothing
from session_router_langchain.messages import HeadReader, MessageReader, typed_texts
from session_router_langchain.models import ChatModels
from session_router_langchain.partitioning import salt_for
from session_router_langchain.places import is_unsaid, listening, places_of
from session_router_langchain.portability import begun, convert
from session_router_langchain.provider_state import ProviderState, derives_response_ids, response_id_of, without_response_id
from session_router_langchain.repairing import repair
from session_router_langchain.runs import watch_runs
from session_router_langchain.session_state import CarriedSessions
from session_router_langchain.tagging import own_label, tool_tags
from session_router_langchain.target import Target, origin_in, target_of
from session_router_langchain.terms import NOTHING_BOUND, terms_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.messages import BaseMessage, SystemMessage
    from langchain_core.runnables import RunnableConfig

    from session_router.core.cache_terms import CacheTerms
    from session_router.core.decision import Decision
    from session_router.core.governance import Tag
    from session_router.core.model import ModelName
    from session_router.core.readings import Place
    from session_router.core.session import Session, SessionId
    from session_router.core.transcript import Transcript

NO_SETTINGS: Mapping[str, Any] = MappingProxyType({})
"""Nothing but the history."""

INTERNAL_CALL = "lc_internal_call"
"""Metadata key by which LangChain marks model calls of its middleware."""


class Calls:
    """Builds calls for one router and prepares requests for what it chooses.

    Args:
        router: Who decides.
        defaults: Settings of chat models that are built from provider strings.
    """

    def __init__(self, router: Router, *, defaults: Mapping[str, Any] | None = None) -> None:
        check_kind(router, Router, key="router", rule="give a `session_router.Router`.")
        self.router = router
        self.models = ChatModels(router, defaults=defaults)
        self.reader = MessageReader(lambda: router.models, router.policy, governed=lambda: router.is_governed)
        self.heads = HeadReader()
        self.exact = ExactReader()
        self.sessions = CarriedSessions()
        self._state = ProviderState(self.models)
        self._targets: dict[ModelName, Target] = {}
        self._declared: dict[str, Tag] = {}
        if router.is_governed:
            watch_runs()

    def inspect(self, messages: Sequence[BaseMessage], *, system: SystemMessage | None = None, tools: Sequence[Any] = ()) -> Found:
        """Let detectors look at what is new of a request, before it is read."""
        detecting = self.router.detecting
        if detecting is None:
            return NOTHING
        inspection = self._inspection(messages, system, tools)
        return inspection.found(detecting.detect(inspection.texts))

    async def ainspect(self, messages: Sequence[BaseMessage], *, system: SystemMessage | None = None, tools: Sequence[Any] = ()) -> Found:
        """Do what `inspect` does without blocking the event loop."""
        detecting = self.router.detecting
        if detecting is None:
            return NOTHING
        inspection = self._inspection(messages, system, tools)
        return inspection.found(await detecting.adetect(inspection.texts))

    def _inspection(self, messages: Sequence[BaseMessage], system: SystemMessage | None, tools: Sequence[Any]) -> Inspection:
        new = self.reader.unread(messages, labels=self.tool_labels(tools))
        return Inspection(new, system, tools, undetected=self.router.policy.undetected)

    def read(
        self,
        messages: Sequence[BaseMessage],
        *,
        system: SystemMessage | None = None,
        tools: Sequence[Any] = (),
        found: Found | None = None,
    ) -> Transcript:
        """Read a history; only what is new since it was last read is looked at.

        Args:
            messages: The history.
            system: The system prompt, if it is not among the messages.
            tools: What is bound.
            found: What detectors found in what is new; `None` where nobody asked them, as for what will not be sent.
        """
        self.models.build()
        if found is None:
            found = NOTHING if self.router.detecting is None else UNSEEN
        return self.reader.read(messages, head=self.heads.read(system, tools), labels=self.tool_labels(tools), found=found)

    def tool_labels(self, tools: Sequence[Any]) -> Mapping[str, Tag]:
        """Return the labels of what tools return, by name; a tool that is not on offer any more keeps what it was said to return."""
        declared = tool_tags(tools, self.router.policy)
        for name, tag in declared.items():
            self._declared[name] = join(tag, self._declared.get(name, tag))
        return {**self._declared, **declared}

    def identify(self, names: SessionNames, transcript: Transcript) -> SessionId | None:
        """Derive the session's id, or `None` when the caller cannot be told from others."""
        session = session_id(self.router.key, names, transcript)
        name_thread(session, names)
        return session

    def principal(self, names: SessionNames) -> SessionId | None:
        """Derive the id of what is known of the principal over all sessions; `None` when nobody is named, or nobody asks."""
        return None if self.router.policy.upgrades is None else principal_id(self.router.key, names)

    def places(
        self, names: SessionNames, config: RunnableConfig, *, session: SessionId | None = None, within: bool = False, own: bool = False
    ) -> tuple[Place, ...]:
        """Return where a call stands in the graphs around its session (`places_of`); none where nobody is cleared for anything."""
        router = self.router
        if not router.is_governed:
            return ()
        policy = router.policy
        unlabelled = policy.sources.get("ai", policy.unlabelled)
        around = places_of(router.key, names, config, session=session, within=within, own=own, unlabelled=unlabelled)
        tool = place_of_call()
        return around if tool is None else (*around, tool)

    def terms(
        self,
        messages: Sequence[BaseMessage],
        transcript: Transcript,
        names: SessionNames,
        *,
        system: SystemMessage | None = None,
        tools: Sequence[Any] = (),
        tool_choice: object = None,
        settings: Mapping[str, Any] = NO_SETTINGS,
        bound: Mapping[str, Any] = NOTHING_BOUND,
    ) -> CacheTerms | None:
        """Say on which terms a stored answer may stand for this call's; `None` when none may, or there is no cache."""
        if self.router.cache is None:
            return None
        terms = terms_of(
            messages,
            transcript,
            exact=self.exact,
            models=self.models,
            names=names,
            system=system,
            tools=tools,
            tool_choice=tool_choice,
            settings=settings,
            bound=bound,
        )
        if terms is None or terms.untold or self.router.rewriter is None:
            return terms
        return replace(terms, conversation=conversation_of(messages, transcript, self.exact))

    def call(  # noqa: PLR0913 -- one argument a fact
        self,
        messages: Sequence[BaseMessage],
        transcript: Transcript,
        *,
        session: SessionId | None = None,
        carried: Session | None = None,
        agent: str | None = None,
        tools: Sequence[Any] = (),
        structured: bool = False,
        requires: frozenset[Capability] = frozenset(),
        settings: Mapping[str, Any] = NO_SETTINGS,
        tag: Tag | None = None,
        system: BaseMessage | None = None,
        found: Tag | None = None,
        purpose: str | None = None,
        only: ModelName | None = None,
        internal: bool = False,
        terms: CacheTerms | None = None,
        principal: SessionId | None = None,
        places: tuple[Place, ...] = (),
    ) -> Call:
        """Build the call; `settings` are those that the chosen model will get with it, `found` what is in what goes before the messages."""
        bindings = self._state.bindings(settings, messages, transcript, carried)
        *recent, text = typed_texts(messages, transcript) or ("",)
        return new_call(
            transcript=transcript,
            question=new_question(
                text=text,
                recent=tuple(recent),
                turn=transcript.turn,
                structured=structured,
                tools=len(tools),
                tool_errors=transcript.tool_errors,
            ),
            now=self.router.clock.now(),
            session=session,
            carried=carried,
            agent=agent,
            requires=requires | {Capability.TOOLS} if tools else requires,
            bindings=bindings,
            held=self._state.held(settings, bindings),
            tag=tag,
            inherited=inherited(lambda: is_unsaid(messages, system)),
            places=listening(places, messages, system, transcript=transcript, settings=settings, key=self.router.key),
            system=None if system is None else own_label(system),
            found=found,
            offered=self._offered(tools),
            purpose=purpose,
            only=only,
            internal=internal,
            terms=terms,
            principal=principal,
        )

    def _offered(self, tools: Sequence[Any]) -> Tag | None:
        """Return the label of whatever `tools` may return; `None` when one of them says nothing."""
        policy = self.router.policy
        labels, otherwise = tool_tags(tools, policy), policy.sources.get("tool")
        names = {str(getattr(one, "name", "")) for one in tools}
        if otherwise is None and not names <= labels.keys():
            return None
        return join(*labels.values(), *(() if otherwise is None else (otherwise,)))

    def prepare(self, messages: Sequence[BaseMessage], call: Call, decision: Decision) -> Sequence[BaseMessage]:
        """Return the history as the chosen model can take it: the very same list when it can take it as it is."""
        continued = any(binding.kind is BindingKind.PREVIOUS_RESPONSE for binding in call.bindings)
        # By now nobody will run the calls that are still open: a model is about to be asked.
        abandoned = any(ask.kind is not AskKind.SERVER_TOOL for ask in call.transcript.position.open)
        prepared: Sequence[BaseMessage] = messages
        if call.transcript.broken or abandoned:
            prepared = repair(messages, continued=continued, abandoned=abandoned)
        if decision.tag is not None and derives_response_ids(self.models[decision.chosen()]):
            prepared = _referring_to_what_may_be_read(prepared, decision)
        target = self._target(decision.chosen())
        # A tool loop that moves to such a model must become text, though nothing in it is bound.
        taken_up = target.thinking and _takes_up_a_loop(messages, call.transcript, target.name)
        if not (decision.evidence.blocked_by or decision.action is Action.FORCED_SWITCH or taken_up):
            return begun(prepared, target)
        return convert(prepared, target, origin=origin_in(self.models.specs))

    def _target(self, name: ModelName) -> Target:
        target = self._targets.get(name)
        if target is None:
            model, spec = self.models[name], self.models.specs[name]
            target = self._targets[name] = target_of(name, model, dialect=spec.dialect, account=spec.account)
        return target

    def prepare_settings(
        self, decision: Decision, system: BaseMessage | None, tools: Sequence[Any], settings: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return what else of a request must change for the chosen model, by the names of `ModelRequest.override`."""
        return without_cache_markers(system, tools, settings, dialect=self.models.specs[decision.chosen()].dialect)

    def partition(self, decision: Decision, settings: Mapping[str, Any], *, tenant: str | None) -> dict[str, Any]:
        """Return the settings that keep the request to its label's part of the provider's prompt cache."""
        name = decision.chosen()
        return salt_for(decision, self.models.specs[name], self.models[name], settings, key=self.router.key, tenant=tenant)

    def prepare_tools(self, decision: Decision, tools: Sequence[Any]) -> Sequence[Any]:
        """Return `tools` as the chosen model can take them."""
        changed: Sequence[Any] = self.prepare_settings(decision, None, tools, {}).get("tools", tools)
        return changed


def _referring_to_what_may_be_read(messages: Sequence[BaseMessage], decision: Decision) -> Sequence[BaseMessage]:
    """Return the history without the ids of answers whose provider holds what is not in it any more, such as what was redacted since."""
    exposures = () if decision.session is None else decision.session.exposures
    sent = PUBLIC if decision.tag is None else decision.tag

    def may_be_read(id_: str) -> bool:
        held = label_held(exposures, id_)
        return held is not None and join(held, sent) == sent

    changed = list(messages)
    # The client takes the last id that there is: what stands before one that may be read is not looked at.
    for at in range(len(changed) - 1, -1, -1):
        message = changed[at]
        if (id_ := response_id_of(message)) is None:
            continue
        if may_be_read(id_):
            break
        changed[at] = without_response_id(message)
    return messages if all(new is old for new, old in zip(changed, messages, strict=True)) else changed


def _takes_up_a_loop(messages: Sequence[BaseMessage], transcript: Transcript, name: str) -> bool:
    """Whether the last calls of the history are another model's: one that signs its thoughts could not go on from them."""
    steps = zip(reversed(messages), reversed(transcript.steps), strict=True)
    last = next((step for message, step in steps if step.role is Role.AI and not says_nothing(message)), None)
    return last is not None and bool(last.asks) and last.author != name
