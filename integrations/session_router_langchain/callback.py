"""Watching model calls that nobody routes: what would the router have decided?"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING, Any, cast

from langchain_core.callbacks import BaseCallbackHandler

from session_router.core.model import ModelName, route_of
from session_router_langchain.authors import provider_id_of
from session_router_langchain.calls import INTERNAL_CALL, Calls
from session_router_langchain.checking import check_names
from session_router_langchain.names import current_config, names_of
from session_router_langchain.outcomes import failure_of, outcome_of
from session_router_langchain.witness import answer_in

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from langchain_core.messages import BaseMessage
    from langchain_core.outputs import LLMResult
    from langchain_core.runnables import RunnableConfig

    from session_router.core.call import Outcome
    from session_router.core.decision import Decision
    from session_router.router import Router

logger = logging.getLogger("session_router")

NO_ROUTE = "AnsweredByNoRoute"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """One model call that was watched.

    Attributes:
        decision: What the router would have decided.
        outcome: What really happened; its `model` is the route that answered, if one did.
    """

    decision: Decision
    outcome: Outcome

    @property
    def agrees(self) -> bool:
        """Whether the router would have called the model that answered."""
        return self.outcome.model is not None and self.outcome.model == self.decision.model


class SessionRouterCallbackHandler(BaseCallbackHandler):
    """Observes model calls and changes none of them.

    Put it into a config's `callbacks` before switching the router on: each call is routed beside the one that
    really runs, and the session follows the model that really answered.

    Args:
        router: Who would decide; give it a session store of its own.
        on_sighting: Called with every finished call.
        tenant: Whose deployment, if the router serves several.
        principal: The user or service, as authenticated on the server.
    """

    run_inline = True

    def __init__(
        self,
        router: Router,
        on_sighting: Callable[[Sighting], None],
        *,
        tenant: str | None = None,
        principal: str | None = None,
    ) -> None:
        super().__init__()
        check_names(tenant=tenant, principal=principal)
        self.router = router
        self._calls = Calls(router)
        self._on_sighting = on_sighting
        self._tenant = tenant
        self._principal = principal
        self._open: dict[UUID, tuple[Decision, ModelName | None]] = {}
        self._guard = Lock()

    def on_chat_model_start(  # noqa: D102 -- as in the base class
        self,
        serialized: dict[str, Any],  # noqa: ARG002 -- as in the base class
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,  # noqa: ANN401 -- as in the base class
    ) -> None:
        try:
            decision = self._route(messages[0], metadata or {}, kwargs.get("invocation_params") or {})
        except Exception:
            logger.exception("a watched call could not be routed; it goes on as it is")
            return
        with self._guard:
            self._open[run_id] = (decision, self._asked(metadata or {}))

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **_: Any) -> None:  # noqa: ANN401 -- as in the base class
        """See the answer."""
        opened, message = self._closed(run_id), answer_in(response)
        if opened is None or message is None:
            return
        decision, asked = opened
        provider_id = provider_id_of(message)
        answerer = asked if provider_id is None else route_of(provider_id, self.router.models, chosen=asked) or asked
        outcome = outcome_of(message, decision, self.router.models, at=self.router.clock.now())
        self._report(decision, replace(outcome, model=answerer))

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:  # noqa: ANN401 -- as in the base class
        """See the failure."""
        opened = self._closed(run_id)
        if opened is not None:
            decision = opened[0]
            self._report(decision, failure_of(error, at=self.router.clock.now()))

    def _asked(self, metadata: dict[str, Any]) -> ModelName | None:
        """Say which route was asked; `None` for a model that is none of them, whatever its provider calls it."""
        name = metadata.get("ls_model_name")
        return route_of(name, self.router.models) if isinstance(name, str) else None

    def _route(self, messages: list[BaseMessage], metadata: dict[str, Any], params: dict[str, Any]) -> Decision:
        tools = params.get("tools") or ()
        found = self._calls.inspect(messages, tools=tools)
        transcript = self._calls.read(messages, tools=tools, found=found)
        # Of its config, a call's callbacks are told the metadata only; the rest is that of the run around it.
        config = {**current_config(), "metadata": metadata}
        names = names_of(cast("RunnableConfig", config), tenant=self._tenant, principal=self._principal)
        call = self._calls.call(
            messages,
            transcript,
            session=self._calls.identify(names, transcript),
            agent=names.agent,
            tools=tools,
            settings=params,
            found=found.head,
            internal=INTERNAL_CALL in metadata,
            principal=self._calls.principal(names),
        )
        return self.router.route(call)

    def _closed(self, run_id: UUID) -> tuple[Decision, ModelName | None] | None:
        with self._guard:
            return self._open.pop(run_id, None)

    def _report(self, decision: Decision, outcome: Outcome) -> None:
        stranger = outcome.model is None and outcome.error is None
        # For the session, nobody answered: it must not move to the model that only would have been chosen.
        self.router.observe(decision, replace(outcome, error=NO_ROUTE) if stranger else outcome)
        self._on_sighting(Sighting(decision=decision, outcome=outcome))
