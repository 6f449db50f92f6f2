"""One request of an agent's model node on its way: what was asked, what is routed, and a stored answer in place of a model's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain.agents.middleware.types import ModelResponse
from langchain_core.messages import AIMessage

from session_router_langchain.names import current_config
from session_router_langchain.replaying import as_told, stored_answer, told_of
from session_router_langchain.seals import sealed

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain.agents.middleware.types import ModelRequest
    from langchain_core.messages import BaseMessage

    from session_router.core.cache_terms import CacheTerms
    from session_router.core.call import Call
    from session_router.core.decision import Decision
    from session_router_langchain.delivery import DeliveryProbe
    from session_router_langchain.models import ChatModels
    from session_router_langchain.narrowing import Narrowing
    from session_router_langchain.replaying import StoredAnswer


@dataclass(slots=True)
class AgentRequest:
    """One pass through the middleware.

    Attributes:
        request: As it came.
        call: What is routed.
        narrowing: Makes it smaller where no model may see all of it.
        models: The routes' chat models.
        renew: Makes the terms of the call anew.
    """

    request: ModelRequest[Any]
    call: Call
    narrowing: Narrowing
    models: ChatModels
    renew: Callable[[], CacheTerms | None]

    def sealed(self, sent: ModelRequest[Any], probe: DeliveryProbe) -> None:
        """Tell `probe` what is handed on, where the answer is to be kept and the request is still the one that the call was made of."""
        if probe.wanted and self.call.terms is not None and not self.call.terms.untold and self._is_the_same():
            system = [] if sent.system_message is None else [sent.system_message]
            tools, choice, settings = sent.tools, sent.tool_choice, sent.model_settings
            probe.seal = sealed(sent.model, [*system, *sent.messages], tools=tools, tool_choice=choice, settings=settings)

    def own(self, probe: DeliveryProbe, response: ModelResponse[Any]) -> AIMessage | None:
        """Return what the chosen model itself answered to what was handed on; `None` where middleware further inside had a hand in it."""
        only = response.result[0] if len(response.result) == 1 and response.structured_response is None else None
        return probe.own_answer(only) if isinstance(only, AIMessage) and self._is_the_same() else None

    def replay(self, message: AIMessage, decision: Decision) -> ModelResponse[Any]:
        """Tell a stored answer, as a model of this request would be told of."""
        told = self._stored(message, decision).invoke(self._shown(), told_of(message, current_config()))
        return ModelResponse(result=[as_told(message, told)])

    async def areplay(self, message: AIMessage, decision: Decision) -> ModelResponse[Any]:
        """Do what `replay` does without blocking the event loop."""
        told = await self._stored(message, decision).ainvoke(self._shown(), told_of(message, current_config()))
        return ModelResponse(result=[as_told(message, told)])

    def _stored(self, message: AIMessage, decision: Decision) -> StoredAnswer:
        return stored_answer(message, self.models.writer(decision), tools=self.request.tools)

    def _shown(self) -> list[BaseMessage]:
        system, messages = self.request.system_message, self.narrowing.messages
        return [*([] if system is None else [system]), *messages]

    def _is_the_same(self) -> bool:
        """Whether the same request would be asked about under the same terms: what it is made of may be changed in place."""
        return self.call.terms == self.renew()
