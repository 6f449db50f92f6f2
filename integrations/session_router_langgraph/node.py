"""A router node: it decides, writes down why, and goes to the node of the chosen model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import NoneType
from typing import TYPE_CHECKING, Any, cast

from langchain_core.messages import BaseMessage, convert_to_messages
from langchain_core.runnables import RunnableLambda
from langgraph.runtime import get_runtime
from langgraph.types import Command

from session_router.core.checking import check_kind
from session_router.errors import ConfigurationError
from session_router.router import Router
from session_router_langchain.calls import Calls
from session_router_langchain.checking import check_names
from session_router_langchain.lineage import brought_back
from session_router_langchain.names import context_label, current_config, names_of
from session_router_langchain.session_state import find_session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.runnables import Runnable

    from session_router.core.call import Call
    from session_router.core.decision import Decision
    from session_router_langchain.inspecting import Found


def create_router_node(
    router: Router,
    *,
    destinations: Mapping[str, str],
    messages_key: str = "messages",
    tools: Any = (),  # noqa: ANN401 -- tools come in many types
    tenant: str | None = None,
    principal: str | None = None,
) -> Runnable[Any, Command[Any]]:
    """Make a node that sends a graph to the node of the model that should answer.

    Put it before every model call: from the start, and from the tools back. The graph's state must have the key
    of `RouterState`; each destination calls its own model. Give `destinations` to `add_node` as well if the
    graph is to be drawn.

    Args:
        router: Who decides.
        destinations: Node name by model name, one for every route.
        messages_key: Where the state has its messages.
        tools: What the models are bound to, for counting what is sent before the messages.
        tenant: Whose deployment, if the router serves several.
        principal: The user or service, as authenticated on the server.

    Returns:
        The node; it returns a `Command` with the destination and the session.

    Raises:
        ConfigurationError: A route has no destination, or a destination no route.
    """
    check_kind(router, Router, key="router", rule="give a `session_router.Router`.")
    check_names(tenant=tenant, principal=principal)
    check_kind(messages_key, str, key="messages_key", rule="give the name of a key of the graph's state.")
    check_kind(tools, (Iterable, NoneType), key="tools", rule="give a list of tools.")
    check_kind(destinations, Mapping, key="destinations", rule="give a mapping of model names to names of nodes.")
    if set(destinations) != set(router.models):
        raise ConfigurationError(
            key="destinations", value=sorted(destinations), rule=f"name one node for each of the routes {sorted(router.models)!r}, no more."
        )
    for name, node_name in destinations.items():
        check_kind(node_name, str, key=f"destinations.{name}", rule="give the name of a node.")
    node = _RouterNode(router, destinations, messages_key, tools, tenant, principal)
    return RunnableLambda(node.decide, afunc=node.adecide, name="session_router")


class _RouterNode:
    def __init__(
        self,
        router: Router,
        destinations: Mapping[str, str],
        messages_key: str,
        tools: Any,  # noqa: ANN401 -- as there
        tenant: str | None,
        principal: str | None,
    ) -> None:
        self._router = router
        self._calls = Calls(router)
        self._calls.models.build()
        self._destinations = destinations
        self._messages_key = messages_key
        self._tools = tools
        self._tenant = tenant
        self._principal = principal

    def decide(self, state: Any) -> Command[Any]:  # noqa: ANN401 -- the graph's state
        messages, values = self._read(state)
        found = self._calls.inspect(messages, tools=self._tools)
        return self._command(self._router.route(self._call(messages, values, found)))

    async def adecide(self, state: Any) -> Command[Any]:  # noqa: ANN401 -- as above
        messages, values = self._read(state)
        found = await self._calls.ainspect(messages, tools=self._tools)
        return self._command(await self._router.aroute(self._call(messages, values, found)))

    def _read(self, state: Any) -> tuple[Sequence[BaseMessage], Mapping[str, Any]]:  # noqa: ANN401 -- as above
        values = cast("Mapping[str, Any]", state if isinstance(state, dict) else vars(state))
        return self._messages(values), values

    def _call(self, messages: Sequence[BaseMessage], values: Mapping[str, Any], found: Found) -> Call:
        transcript = self._calls.read(messages, tools=self._tools, found=found)
        try:
            runtime: Any = get_runtime()
        except RuntimeError:
            runtime = None
        config = current_config()
        names = names_of(config, runtime, tenant=self._tenant, principal=self._principal)
        session, carried = find_session(self._calls, values, runtime, transcript, names)
        principal = self._calls.principal(names)
        return self._calls.call(
            messages,
            transcript,
            session=session,
            carried=carried,
            agent=names.agent,
            tools=self._tools,
            tag=context_label(runtime),
            found=found.head,
            principal=principal,
            places=self._calls.places(names, config, session=session, own=True),
        )

    def _messages(self, values: Mapping[str, Any]) -> Sequence[BaseMessage]:
        if self._messages_key not in values:
            raise ConfigurationError(
                key="messages_key",
                value=self._messages_key,
                rule=f"the graph's state has {sorted(values)!r}; name the key of its messages.",
            )
        messages = values[self._messages_key]
        # A state without LangGraph's reducer may hold what `convert_to_messages` reads: dictionaries, tuples, texts.
        return messages if all(isinstance(message, BaseMessage) for message in messages) else convert_to_messages(messages)

    def _command(self, decision: Decision) -> Command[Any]:
        name = decision.chosen()
        brought_back(decision.tag)
        session = decision.session
        update = self._calls.sessions.written(session) if decision.carried and session is not None else {}
        return Command(goto=self._destinations[name], update=update)
