"""What comes back from a chat model: who answered, what it cost, what it waits for, and what a failure means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from langgraph.errors import GraphBubbleUp

from session_router.core.call import CANCELLED, Outcome
from session_router.core.checking import is_count
from session_router.core.model import route_of
from session_router.core.pricing import Usage
from session_router.errors import SessionRouterError
from session_router_langchain.authors import STAMP, provider_id_of
from session_router_langchain.blocks import asks_of
from session_router_langchain.failures import failure_in
from session_router_langchain.provider_state import kept_as
from session_router_langchain.tagging import labelled

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage

    from session_router.core.decision import Decision
    from session_router.core.model import ModelName, ModelSpec

Message = TypeVar("Message", bound="AIMessage")

NOTHING_SAID: Mapping[str, Any] = MappingProxyType({})
"""Of tools, because none is asked for, or none is declared."""

# langchain-openai puts the service tier before a name where a request did not get the usual one.
_CACHE_READ = ("cache_read", "flex_cache_read", "priority_cache_read")
_REASONING = ("reasoning", "flex_reasoning", "priority_reasoning")

# langchain-anthropic sets the total to 0 where it tells the lifetimes apart, so that nothing is counted twice.
_CACHE_WRITTEN = (
    "cache_creation",
    "ephemeral_5m_input_tokens",
    "ephemeral_1h_input_tokens",
    "flex_cache_creation",
    "priority_cache_creation",
)


def usage_of(message: AIMessage) -> Usage | None:
    """Return the provider's token counts, or `None` when it reported none, or something that cannot be counts."""
    counted = _table(message.usage_metadata)
    details = _table(counted.get("input_token_details"))
    cached, written = ([details.get(key) or 0 for key in keys] for keys in (_CACHE_READ, _CACHE_WRITTEN))
    if not all(map(is_count, (*cached, *written))):
        return None
    usage = Usage(
        input=cast("int", counted.get("input_tokens")),
        cached=sum(cached),
        written=sum(written),
        output=cast("int", counted.get("output_tokens")),
    )
    return usage if usage.is_plausible else None


def reasoning_of(message: AIMessage) -> int:
    """Return how many of the output tokens were reasoning; 0 when the provider did not say."""
    details = _table(_table(message.usage_metadata).get("output_token_details"))
    return sum(details[key] for key in _REASONING if is_count(details.get(key)))


def answerer_of(
    message: AIMessage,
    decision: Decision,
    specs: Mapping[ModelName, ModelSpec],
    *,
    author: str | None = None,
    asked: ModelName | None = None,
) -> ModelName | None:
    """Return the route that really answered: a fallback inside the handler may have changed it.

    An id that fits no route is an alias that the provider chose for the model that was asked.

    Args:
        message: The answer.
        decision: What was decided.
        specs: The routes.
        author: The provider's id of the model that wrote it, where the message does not say.
        asked: The route that was asked in the chosen one's place, if that is known: it may share its provider's id.
    """
    provider_id = provider_id_of(message) or author
    if provider_id is None:
        return decision.model
    return route_of(provider_id, specs, chosen=asked or decision.model) or decision.model


def outcome_of(
    message: AIMessage,
    decision: Decision,
    specs: Mapping[ModelName, ModelSpec],
    *,
    at: float,
    author: str | None = None,
    asked: ModelName | None = None,
) -> Outcome:
    """Say what came of `decision`.

    Args:
        message: The whole answer.
        decision: What was decided.
        specs: The routes.
        at: POSIX seconds.
        author: As for `answerer_of`.
        asked: Likewise.
    """
    return Outcome(
        at=at,
        model=answerer_of(message, decision, specs, author=author, asked=asked),
        returned=provider_id_of(message),
        usage=usage_of(message),
        counts_cached=_counts_cached(message),
        asks=asks_of(message),
        kept_as=() if decision.tag is None else kept_as(message),
    )


def _counts_cached(message: AIMessage) -> bool:
    details = _table(_table(message.usage_metadata).get("input_token_details"))
    return any(details.get(key) is not None for key in _CACHE_READ)


def _table(value: object) -> Mapping[str, Any]:
    """Return `value` if it is a table, else one with nothing in it: a client may report what it likes."""
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def failure_of(error: BaseException, *, at: float) -> Outcome:
    """Say that a decision came to nothing. Only where a model failed does that say anything of its endpoint."""
    name = CANCELLED if is_given_up(error) else type(error).__name__
    return Outcome(at=at, model=None, error=name, failure=None if is_control_flow(error) else failure_in(error, at=at))


def stamp_of(decision: Decision, answerer: ModelName | None) -> dict[str, Any]:
    """Return the facts that a message carries: enough to find its author again, and to learn from feedback on it; no more."""
    stamp: dict[str, Any] = {
        "model": answerer,
        "decision_id": decision.id,
        "decision": decision.action.value,
        "reason": decision.reason.value,
    }
    if decision.hit is not None:
        stamp["cache"] = decision.hit.to_plain()
    if decision.agent is not None:
        stamp["agent"] = decision.agent
    if decision.boundary is not None and answerer == decision.model:
        # Without the session's id: messages go to clients.
        stamp["boundary"] = replace(decision.boundary, session=None).to_plain()
    return stamp


def stamped(message: Message, decision: Decision, answerer: ModelName | None, beside: Mapping[str, Any] = NOTHING_SAID) -> Message:
    """Return `message` with our facts beside the provider's; everything else stays.

    Args:
        message: The answer.
        decision: Who was chosen.
        answerer: Who answered.
        beside: What it is to say of itself beside them (`Narrowing.beside`).
    """
    metadata = {**message.response_metadata, STAMP: stamp_of(decision, answerer)}
    said = {"additional_kwargs": {**message.additional_kwargs, **beside}} if beside else {}
    marked = message.model_copy(update={"response_metadata": metadata, **said})
    # An answer says what its model has read.
    return marked if decision.tag is None else labelled(marked, decision.tag)


def is_given_up(error: BaseException) -> bool:
    """Whether with `error` nobody waits for an answer any more: an interrupt of LangGraph, a cancellation."""
    return isinstance(error, GraphBubbleUp) or not isinstance(error, Exception)


def is_control_flow(error: BaseException) -> bool:
    """Whether `error` is no failure of a model: the call was given up, or it is our own refusal."""
    return isinstance(error, SessionRouterError) or is_given_up(error)
