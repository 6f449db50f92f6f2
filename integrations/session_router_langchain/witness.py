"""Sees the end of a call that somebody else runs, and tells the router."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from langchain_core.messages import AIMessage

from session_router_langchain.outcomes import failure_of, outcome_of

if TYPE_CHECKING:
    from langchain_core.outputs import LLMResult

    from session_router.core.call import Outcome
    from session_router.core.decision import Decision
    from session_router.router import Router


def answer_in(result: LLMResult) -> AIMessage | None:
    """Return the message in a callback's result."""
    if not result.generations or not result.generations[0]:
        return None
    message = getattr(result.generations[0][0], "message", None)
    return message if isinstance(message, AIMessage) else None


def _outcome(router: Router, decision: Decision, result: LLMResult) -> Outcome | None:
    message = answer_in(result)
    return None if message is None else outcome_of(message, decision, router.models, at=router.clock.now())


class Witness(BaseCallbackHandler):
    """Tells the router what came of `decision`."""

    run_inline = True

    def __init__(self, router: Router, decision: Decision) -> None:
        super().__init__()
        self._router = router
        self._decision = decision

    def on_llm_end(self, response: LLMResult, **_: Any) -> None:
        """See the answer."""
        outcome = _outcome(self._router, self._decision, response)
        if outcome is not None:
            self._router.observe(self._decision, outcome)

    def on_llm_error(self, error: BaseException, **_: Any) -> None:
        """See the failure."""
        self._router.observe(self._decision, failure_of(error, self._decision, at=self._router.clock.now()))


class AsyncWitness(AsyncCallbackHandler):
    """Tells the router what came of `decision`, without blocking the event loop."""

    def __init__(self, router: Router, decision: Decision) -> None:
        super().__init__()
        self._router = router
        self._decision = decision

    async def on_llm_end(self, response: LLMResult, **_: Any) -> None:
        """See the answer."""
        outcome = _outcome(self._router, self._decision, response)
        if outcome is not None:
            await self._router.aobserve(self._decision, outcome)

    async def on_llm_error(self, error: BaseException, **_: Any) -> None:
        """See the failure."""
        await self._router.aobserve(self._decision, failure_of(error, self._decision, at=self._router.clock.now()))
