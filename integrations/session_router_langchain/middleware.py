"""Routing for agents of `langchain.agents.create_agent`."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, NotRequired, cast

from langchain.agents.middleware.types import (
    AgentMiddleware,
    AgentState,
    ExtendedModelResponse,
    ModelRequest,
    ModelResponse,
    PrivateStateAttr,
)
from langchain.agents.structured_output import AutoStrategy, ProviderStrategy, ToolStrategy
from langchain_core.messages import AIMessage, ToolMessage
from langgraph.prebuilt.tool_node import INVALID_TOOL_NAME_ERROR_TEMPLATE
from langgraph.types import Command

from session_router.core.boundary import Phase
from session_router.core.governance import PUBLIC
from session_router.core.model import Capability, route_of
from session_router_langchain.agent_request import AgentRequest
from session_router_langchain.calls import Calls
from session_router_langchain.checking import check_names
from session_router_langchain.delivery import DeliveryProbe, attached
from session_router_langchain.last_look import LastLook
from session_router_langchain.lineage import Lineage, brought_back, handed_down, inherited, label_of_asker, place_of_call, with_lineage
from session_router_langchain.names import LEVEL, context_label, current_config, names_of, namespace_here
from session_router_langchain.narrowing import Narrowing
from session_router_langchain.outcomes import stamped
from session_router_langchain.passage import Passed, adrive, drive
from session_router_langchain.places import is_made_again, place_of_tool_call
from session_router_langchain.session_state import find_session
from session_router_langchain.tagging import label_of_unread, labelled

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Sequence

    from langchain.agents.middleware.types import ToolCallRequest
    from langchain.agents.structured_output import ResponseFormat
    from langchain_core.messages import BaseMessage
    from langgraph.runtime import Runtime

    from session_router.core.cache_terms import CacheTerms
    from session_router.core.decision import Decision
    from session_router.core.governance import Tag
    from session_router.core.readings import Place
    from session_router.core.transcript import Transcript
    from session_router.identity import SessionNames
    from session_router.router import Router
    from session_router_langchain.inspecting import Found


_NO_SUCH_TOOL = INVALID_TOOL_NAME_ERROR_TEMPLATE.partition("{available_tools}")[0]
_INSIDE = "what middleware further inside makes of it"


class SessionRouterState(AgentState[Any]):
    """Agent state with the session in it: it travels with the thread's checkpoints and stays out of schemas."""

    session_router: NotRequired[Annotated[dict[str, Any], PrivateStateAttr]]


class SessionRouterMiddleware(AgentMiddleware[SessionRouterState, Any, Any]):
    """Chooses the model of every call of an agent, and keeps it while a tool loop runs.

    List it before middleware that looks at `request.model`, such as Anthropic prompt caching: it must see the
    model that was chosen. The `model` given to `create_agent` is never called. List it after middleware that changes what
    is asked, such as a dynamic prompt: where a cache has the answer, nothing further inside runs; and where something further inside
    was once seen to change a request, the agent asks no cache any more.

    Args:
        router: Who decides.
        tenant: Whose deployment, if the router serves several.
        principal: The user or service, as authenticated on the server; LangGraph Server's user is found by itself.
            Needed to recognise sessions of agents that run without a checkpointer.

    Raises:
        ConfigurationError: A route cannot be built into a chat model.
    """

    state_schema = SessionRouterState

    def __init__(self, router: Router, *, tenant: str | None = None, principal: str | None = None) -> None:
        super().__init__()
        check_names(tenant=tenant, principal=principal)
        self.router = router
        self.calls = Calls(router)
        self.calls.models.build()
        self._changed_inside = False
        self._named: dict[tuple[str | None, bool], str | None] = {}
        self._tenant = tenant
        self._principal = principal

    def wrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], ModelResponse[Any]],
    ) -> ExtendedModelResponse[Any]:
        """Route the call, apply the decision, and remember what came of it."""
        found = self.calls.inspect(request.messages, system=request.system_message, tools=request.tools)
        here, probes = self._begin(request, found), list[DeliveryProbe]()

        def attempt(decision: Decision, probe: DeliveryProbe) -> ModelResponse[Any]:
            probes.append(probe)
            sent = self._apply(here, decision)
            with self._handed_on(here, decision, sent, probe):
                return handler(sent)

        return self._finish(here, drive(self.router, here.call, attempt, _answer, replay=here.replay, **self._ways(here)), probes)

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ExtendedModelResponse[Any]:
        """Do what `wrap_model_call` does without blocking the event loop."""
        found = await self.calls.ainspect(request.messages, system=request.system_message, tools=request.tools)
        here, probes = self._begin(request, found), list[DeliveryProbe]()

        async def attempt(decision: Decision, probe: DeliveryProbe) -> ModelResponse[Any]:
            probes.append(probe)
            sent = self._apply(here, decision)
            with self._handed_on(here, decision, sent, probe):
                return await handler(sent)

        passed = await adrive(self.router, here.call, attempt, _answer, replay=here.areplay, **self._ways(here))
        return self._finish(here, passed, probes)

    def after_agent(self, state: SessionRouterState, runtime: Runtime[Any]) -> dict[str, Any] | None:
        """End the lock with the run: a run may end on a tool message. A turn that its provider paused goes on in the next one."""
        if (unread := label_of_unread(state["messages"])) is not None:
            self.router.hand_on(self._places(runtime), unread)
        return self._ended(state)

    async def aafter_agent(self, state: SessionRouterState, runtime: Runtime[Any]) -> dict[str, Any] | None:
        """Do what `after_agent` does without blocking the event loop."""
        if (unread := label_of_unread(state["messages"])) is not None:
            await self.router.ahand_on(self._places(runtime), unread)
        return self._ended(state)

    def _places(self, runtime: Runtime[Any]) -> tuple[Place, ...]:
        config = current_config()
        return self.calls.places(names_of(config, runtime, tenant=self._tenant, principal=self._principal), config)

    def _ended(self, state: SessionRouterState) -> dict[str, Any] | None:
        session = self.calls.sessions.read(state)
        messages = state["messages"]
        if session is None or not messages:
            return None
        transcript = self.calls.read(messages)
        if transcript.position.phase is Phase.PAUSED:
            return None
        ending = transcript.steps[-1].digest
        return self.calls.sessions.written(replace(session, closed=ending, lock=None).committed())

    def wrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], ToolMessage | Command[Any]]
    ) -> ToolMessage | Command[Any]:
        """Let models that the tool asks inherit what this agent has read, and label the result with what they have read."""
        place = self._place_of(request)
        before = self.router.left_before(place) if place is not None and is_made_again(current_config()) else PUBLIC
        with handed_down(self._asker(request), namespace_here(), place) as lineage:
            if before != PUBLIC:
                lineage.note(before)
            result = self._labelled(handler(request), request, lineage)
        if lineage.returned is not None and (above := place_of_call()) is not None:
            self.router.hand_on([above], lineage.returned)
        brought_back(lineage.returned)
        return result

    async def awrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]]
    ) -> ToolMessage | Command[Any]:
        """Do what `wrap_tool_call` does without blocking the event loop."""
        place = self._place_of(request)
        before = await self.router.aleft_before(place) if place is not None and is_made_again(current_config()) else PUBLIC
        with handed_down(self._asker(request), namespace_here(), place) as lineage:
            if before != PUBLIC:
                lineage.note(before)
            result = self._labelled(await handler(request), request, lineage)
        if lineage.returned is not None and (above := place_of_call()) is not None:
            await self.router.ahand_on([above], lineage.returned)
        brought_back(lineage.returned)
        return result

    def _place_of(self, request: ToolCallRequest) -> Place | None:
        """Return where what is read in a tool's call is left; `None` where nobody is cleared for anything, or would look for it."""
        if not self.router.is_governed:
            return None
        config = current_config()
        names = names_of(config, tenant=self._tenant, principal=self._principal)
        return place_of_tool_call(self.router.key, names, config, str(request.tool_call["id"]))

    def _asker(self, request: ToolCallRequest) -> Tag | None:
        state: Any = request.state
        if not isinstance(state, dict):
            return inherited()
        session = self.calls.sessions.read(cast("dict[str, Any]", state))
        known = None if session is None else session.tag
        return label_of_asker(cast("dict[str, Any]", state).get("messages") or (), request.tool_call["id"], known)

    def _labelled(self, result: ToolMessage | Command[Any], request: ToolCallRequest, lineage: Lineage) -> ToolMessage | Command[Any]:
        if lineage.tag is not None and lineage.read is None and isinstance(result, ToolMessage) and _names_no_tool(result, request):
            lineage.note_result(lineage.tag)
            return labelled(result, lineage.tag)
        policy, context = self.router.policy, context_label(cast("Any", request).runtime)
        tools = self.calls.tool_labels([] if request.tool is None else [request.tool])
        otherwise = policy.unlabelled if context is None else context
        marked: ToolMessage | Command[Any] = with_lineage(
            result, lineage, policy, tools, name=request.tool_call["name"], otherwise=otherwise
        )
        return marked

    def _begin(self, request: ModelRequest[Any], found: Found) -> AgentRequest:
        transcript = self.calls.read(request.messages, system=request.system_message, tools=request.tools, found=found)
        config = current_config()
        names = names_of(config, request.runtime, tenant=self._tenant, principal=self._principal)
        session, carried = find_session(self.calls, request.state, request.runtime, transcript, names)

        def renew() -> CacheTerms | None:
            return None if request.response_format is not None else self._terms(request, transcript, names)

        call = self.calls.call(
            request.messages,
            transcript,
            session=session,
            carried=carried,
            agent=names.agent,
            tools=request.tools,
            settings=request.model_settings,
            structured=request.response_format is not None,
            tag=context_label(request.runtime, config),
            system=request.system_message,
            found=found.head,
            terms=renew(),
            requires=_needed_for(request.response_format),
            principal=self.calls.principal(names),
            places=self.calls.places(names, config),
        )
        return AgentRequest(request, call, Narrowing(self.calls, request.messages, call, tools=request.tools), self.calls.models, renew)

    def _terms(self, request: ModelRequest[Any], transcript: Transcript, names: SessionNames) -> CacheTerms | None:
        terms = self.calls.terms(
            request.messages,
            transcript,
            names,
            system=request.system_message,
            tools=request.tools,
            tool_choice=request.tool_choice,
            settings=request.model_settings,
        )
        if terms is None or not self._changed_inside:
            return terms
        return replace(terms, before=b"", system=b"", tools=b"", settings=b"", untold=_INSIDE)

    def _apply(self, here: AgentRequest, decision: Decision) -> ModelRequest[Any]:
        """Return the request for the chosen model."""
        name = decision.chosen()
        request = here.request
        messages = self.calls.prepare(here.narrowing.messages, here.narrowing.call, decision)
        overrides: dict[str, Any] = {"model": self.calls.models[name]}
        if messages is not request.messages:
            overrides["messages"] = list(messages)
        overrides |= self.calls.prepare_settings(decision, request.system_message, request.tools, request.model_settings)
        settings: dict[str, Any] = overrides.get("model_settings", request.model_settings)
        if partition := self.calls.partition(decision, settings, tenant=self._tenant):
            overrides["model_settings"] = {**settings, **partition}
        return request.override(**overrides)

    @contextmanager
    def _handed_on(self, here: AgentRequest, decision: Decision, sent: ModelRequest[Any], probe: DeliveryProbe) -> Generator[None]:
        """Watch what becomes of `sent`; what middleware further inside asks models itself inherits its label."""
        here.sealed(sent, probe)
        if decision.tag is None:
            with attached(probe, first=True):
                yield
            return
        messages = sent.messages if sent.system_message is None else [sent.system_message, *sent.messages]
        look = LastLook(self.router, here.narrowing.call, decision, tag=decision.tag, models=self.calls.models, sent=messages)
        with handed_down(decision.tag, namespace_here()) as inside, attached(probe, first=True), attached(look), look.here():
            yield
        brought_back(inside.read)

    def _ways(self, here: AgentRequest) -> dict[str, Any]:
        return {"own": here.own, "narrowing": here.narrowing, "models": self.calls.models}

    def _finish(
        self, here: AgentRequest, passed: Passed[ModelResponse[Any]], probes: Sequence[DeliveryProbe]
    ) -> ExtendedModelResponse[Any]:
        response, decision = passed.response, passed.decision
        # What is stored for others who ask the same would be no answer to what is made of it further inside.
        self._changed_inside = self._changed_inside or any(probe.astray for probe in probes)
        if decision.hit is not None:
            name = self._name_of(here.call.agent)
            for message in response.result:
                message.name = name or message.name
        elif passed.message is not None:
            if passed.outcome.model is not None:
                self._named[here.call.agent, LEVEL in namespace_here()] = passed.message.name
            answerer = None if self._is_stranger(passed.message, decision, probes[-1]) else passed.outcome.model
            marked = stamped(passed.message, decision, answerer, passed.beside)
            result = [marked if message is passed.message else message for message in response.result]
            if decision.tag is not None and any(isinstance(message, ToolMessage) for message in result):
                result = _with_structured_labelled(result, here.request.response_format, decision.tag)
            response = replace(response, result=result)
        command: Command[Any] | None = None
        if decision.carried and passed.session is not None:
            command = Command(update=self.calls.sessions.written(passed.session))
        return ExtendedModelResponse(model_response=response, command=command)

    def _name_of(self, agent: str | None) -> str | None:
        """Return the name that the framework gives to answers of an agent whose run says that it is `agent`.

        Within another agent that may be the name of the other one: there it is what the answers of models were seen to bear.
        """
        is_nested = LEVEL in namespace_here()
        return self._named.get((agent, is_nested), None if is_nested else agent)

    def _is_stranger(self, message: AIMessage, decision: Decision, probe: DeliveryProbe) -> bool:
        """Whether a model that is no route answered in place of the chosen one: what it wrote is not the chosen one's own."""
        provider_id, asked, routes = probe.author_of(message), probe.asked, self.calls.models.specs
        if provider_id is None or asked is None or route_of(provider_id, routes) is not None or route_of(asked, routes) is not None:
            return False
        # An id that fits no route may be what the provider calls the chosen model; then that is who was asked.
        return asked != self.calls.models.asked_as(decision.chosen())


def _answer(response: ModelResponse[Any]) -> AIMessage | None:
    return next((message for message in reversed(response.result) if isinstance(message, AIMessage)), None)


def _names_no_tool(result: ToolMessage, request: ToolCallRequest) -> bool:
    """Whether the framework says that there is no such tool: nothing ran, and nothing is told but what was asked for."""
    said = _NO_SUCH_TOOL.format(requested_tool=request.tool_call["name"])
    return request.tool is None and result.status == "error" and isinstance(result.content, str) and result.content.startswith(said)


def _artificial_tools(response_format: ResponseFormat[Any] | None) -> frozenset[str]:
    """Name the tools that nobody runs: they carry a structured answer, and the framework answers in their place."""
    if isinstance(response_format, AutoStrategy):
        response_format = ToolStrategy[Any](response_format.schema)
    return frozenset(spec.name for spec in response_format.schema_specs) if isinstance(response_format, ToolStrategy) else frozenset()


def _with_structured_labelled(result: list[BaseMessage], response_format: ResponseFormat[Any] | None, tag: Tag) -> list[BaseMessage]:
    """Label what the framework says of a structured answer: it is made of that answer, and of nothing else."""
    names = _artificial_tools(response_format)
    return [labelled(message, tag) if isinstance(message, ToolMessage) and message.name in names else message for message in result]


def _needed_for(response_format: object) -> frozenset[Capability]:
    """Only the provider's own structured output is a capability; the other strategies make do with tools."""
    if isinstance(response_format, ProviderStrategy):
        return frozenset({Capability.STRUCTURED_OUTPUT})
    return frozenset({Capability.TOOLS}) if isinstance(response_format, ToolStrategy) else frozenset()
