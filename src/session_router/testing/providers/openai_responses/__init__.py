"""OpenAI's Responses API."""

from session_router.testing.providers import openai_errors
from session_router.testing.providers.dialect import Dialect
from session_router.testing.providers.openai_responses import reading, rules, state_rules, streaming, writing
from session_router.testing.providers.refusal import Refusal


def _no_model(model: str) -> Refusal:
    message = f"The requested model '{model}' does not exist." if model else "Missing required parameter: 'model'."
    return Refusal(message=message, param="model", code="model_not_found" if model else "missing_required_parameter")


def _too_long(_tokens: int, _limit: int) -> Refusal:
    message = "Your input exceeds the context window of this model. Please adjust your input and try again."
    return Refusal(message=message, param="input", code="context_length_exceeded")


OPENAI_RESPONSES = Dialect(
    name="openai_responses",
    provider="openai",
    path="/openai/v1/responses",
    api_key=openai_errors.api_key,
    bad_headers=openai_errors.no_bad_headers,
    rules=(
        rules.parameters,
        rules.previous_response,
        rules.item_shapes,
        rules.tools,
        state_rules.known_items,
        state_rules.unique_items,
        state_rules.encrypted_reasoning,
        state_rules.reasoning_pairs,
        state_rules.answered_calls,
    ),
    read=reading.read,
    segments=reading.segments,
    write=writing.write,
    stream=streaming.stream,
    remember=writing.remember,
    error=openai_errors.error_body,
    no_key=openai_errors.no_key,
    no_model=_no_model,
    too_long=_too_long,
    rate_limited=openai_errors.rate_limited,
    overloaded=openai_errors.OVERLOADED,
    request_id_header="x-request-id",
)
"""How OpenAI's Responses API is simulated."""
